package apply

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"lvmsync/format"
)

// Headers of two patches, the second of which is right behind the first: how they are
// linked.
var links = map[string]func() (a, b format.Header){
	"snapshot": func() (a, b format.Header) {
		return ordered(1, 9, since("R", 7), upTo("S", 8)), ordered(2, 11, since("S", 8))
	},
	"same state": func() (a, b format.Header) {
		return ordered(1, 9, since("R", 6), upTo("S", 8)), ordered(2, 11, since("Q", 7), upTo("S", 8))
	},
	"patch": func() (a, b format.Header) {
		return ordered(1, 9, since("R", 7)), ordered(2, 11, after(1))
	},
	"one start": func() (a, b format.Header) {
		return ordered(1, 9, since("S", 8)), ordered(2, 11, since("S", 8))
	},
	"at rest": func() (a, b format.Header) {
		return ordered(1, 9, since("R", 8)), ordered(2, 11, since("S", 10))
	},
	"older start": func() (a, b format.Header) {
		return ordered(1, 9, since("R", 6), upTo("T", 8)), ordered(2, 11, since("S", 7))
	},
	"older start, of a dump": func() (a, b format.Header) {
		return ordered(1, 9, since("R", 8)), ordered(2, 11, since("S", 7))
	},
	"no names": func() (a, b format.Header) {
		return ordered(1, 9, since("R", 8)), ordered(2, 11)
	},
	"way back": func() (a, b format.Header) {
		return ordered(1, 9, since("R", 8)), ordered(2, 11, upTo("S", 7))
	},
}

// upFor says that a patch was dumped when the machine had been up for so many hours.
func upFor(hours int64, boot string) tweak {
	return func(h *format.Header) {
		h.Host, h.Source.BootID, h.Source.Uptime = "host", boot, hours*3600*1000
	}
}

// What may be with the clock.
var clocks = map[string]func(a, b *format.Header){
	"right": func(a, b *format.Header) {},
	"right, in one boot": func(a, b *format.Header) {
		upFor(3, "boot")(a)
		upFor(5, "boot")(b)
	},
	"right, in two boots": func(a, b *format.Header) {
		upFor(3, "boot")(a)
		upFor(1, "other")(b)
	},
	"first younger than its snapshot": func(a, b *format.Header) { a.Created = on(5) },
	"first younger than its snapshot, in one boot": func(a, b *format.Header) {
		upFor(3, "boot")(a)
		upFor(5, "boot")(b)
		a.Created = on(5)
	},
	"second younger than its snapshot": func(a, b *format.Header) {
		b.Created = on(4)
		if b.Base == nil {
			b.Base = &format.Base{}
		}
		if b.Base.Snapshot == "" {
			b.Base.Snapshot = "S"
		}
		b.Base.SnapshotCreated = on(10)
	},
	"set back between": func(a, b *format.Header) {
		upFor(3, "boot")(a)
		upFor(6, "boot")(b)
	},
	"set back over the first": func(a, b *format.Header) {
		upFor(3, "boot")(a)
		upFor(4, "boot")(b)
		a.Created, b.Created = on(13), on(11)
	},
	"set forward between": func(a, b *format.Header) {
		upFor(3, "boot")(a)
		upFor(4, "boot")(b)
	},
	"set back by a reboot": func(a, b *format.Header) {
		upFor(3, "boot")(a)
		upFor(3, "other")(b) // up at 8, but the first was made at 9 in another boot
	},
	"equal seconds": func(a, b *format.Header) {
		sameSecond := func(t *time.Time) {
			if !t.IsZero() {
				*t = on(9)
			}
		}
		for _, h := range []*format.Header{a, b} {
			h.Created = on(9).Add(time.Second / 4)
			if h.Base != nil {
				sameSecond(&h.Base.SnapshotCreated)
			}
			if h.State != nil {
				sameSecond(&h.State.SnapshotCreated)
			}
		}
	},
	"no times of snapshots": func(a, b *format.Header) { withoutTimes(a); withoutTimes(b) },
	"no times at all": func(a, b *format.Header) {
		withoutTimes(a)
		withoutTimes(b)
		a.Created, b.Created = time.Time{}, time.Time{}
	},
	"first has no time":  func(a, b *format.Header) { a.Created = time.Time{} },
	"second has no time": func(a, b *format.Header) { b.Created = time.Time{} },
}

func withoutTimes(h *format.Header) {
	if h.Base != nil {
		h.Base.SnapshotCreated = time.Time{}
	}
	if h.State != nil {
		h.State.SnapshotCreated = time.Time{}
	}
}

// clockMatrix says what shall come of each link with each clock: fits, doubt (a warning),
// no (times say so), unknown (times can't tell). Both of the latter can be overruled.
// What isn't named fits: names that nobody chooses need no clock.
var clockMatrix = map[string]map[string]string{
	"snapshot":   {},
	"same state": {},
	"patch":      {},
	"one start": { // only what is later is left to times
		"first younger than its snapshot":  "unknown",
		"second younger than its snapshot": "unknown",
		"set back by a reboot":             "unknown",
		"no times at all":                  "unknown",
		"first has no time":                "unknown",
		"second has no time":               "unknown",
	},
	"at rest": {
		"right":                           "doubt",
		"right, in one boot":              "doubt",
		"right, in two boots":             "doubt",
		"first younger than its snapshot": "unknown",
		"first younger than its snapshot, in one boot": "unknown",
		"second younger than its snapshot":             "unknown",
		"set back between":                             "unknown",
		"set back over the first":                      "unknown",
		"set forward between":                          "unknown",
		"set back by a reboot":                         "unknown",
		"equal seconds":                                "doubt",
		"no times of snapshots":                        "doubt",
		"no times at all":                              "unknown",
		"first has no time":                            "unknown",
		"second has no time":                           "unknown",
	},
	"older start": {
		"right":                           "doubt",
		"right, in one boot":              "doubt",
		"right, in two boots":             "doubt",
		"first has no time":               "doubt",
		"first younger than its snapshot": "unknown",
		"first younger than its snapshot, in one boot": "unknown",
		"second younger than its snapshot":             "unknown",
		"set back between":                             "unknown",
		"set back over the first":                      "unknown",
		"set forward between":                          "unknown",
		"set back by a reboot":                         "unknown",
		"equal seconds":                                "unknown",
		"no times of snapshots":                        "unknown",
		"no times at all":                              "unknown",
		"second has no time":                           "unknown",
	},
	"older start, of a dump": {
		"first younger than its snapshot":              "unknown",
		"first younger than its snapshot, in one boot": "unknown",
		"second younger than its snapshot":             "unknown",
		"set back between":                             "unknown",
		"set back over the first":                      "unknown",
		"set forward between":                          "unknown",
		"set back by a reboot":                         "unknown",
		"equal seconds":                                "doubt",
		"no times of snapshots":                        "doubt",
		"no times at all":                              "unknown",
		"first has no time":                            "unknown",
		"second has no time":                           "unknown",
	},
	"no names": { // nothing but what was dumped first is asked
		"first younger than its snapshot":  "unknown",
		"second younger than its snapshot": "unknown",
		"set back by a reboot":             "unknown",
		"no times at all":                  "unknown",
		"first has no time":                "unknown",
		"second has no time":               "unknown",
	},
	"way back": {
		"first younger than its snapshot":              "unknown",
		"first younger than its snapshot, in one boot": "unknown",
		"second younger than its snapshot":             "unknown",
		"set back between":                             "unknown",
		"set back over the first":                      "unknown",
		"set forward between":                          "unknown",
		"set back by a reboot":                         "unknown",
		"equal seconds":                                "doubt",
		"no times of snapshots":                        "doubt",
		"no times at all":                              "unknown",
		"first has no time":                            "unknown",
		"second has no time":                           "unknown",
	},
}

func TestClocks(t *testing.T) {
	for link, headers := range links {
		for clock, set := range clocks {
			if clock == "second younger than its snapshot" && link == "patch" {
				continue // it has none
			}
			t.Run(link+"/"+clock, func(t *testing.T) {
				want := clockMatrix[link][clock]
				a, b := headers()
				set(&a, &b)
				v := follows(a, b)
				got := ""
				switch {
				case v.reason != "" && !v.clock:
					got = "never"
				case v.unknown:
					got = "unknown"
				case v.reason != "":
					got = "no"
				case v.doubt != "":
					got = "doubt"
				}
				if got != want {
					t.Errorf("%q %q: %q, want %q", v.reason, v.doubt, got, want)
				}
				wantTrusted(t, a, b, v)
			})
		}
	}
}

// wantTrusted wants that the user's word overrules what times say, with a warning.
func wantTrusted(t *testing.T, a, b format.Header, v verdict) {
	t.Helper()
	var warnings []string
	o := Options{Warn: func(m string) { warnings = append(warnings, m) }}
	err := chainOf(a, b).checkOrder(o)
	var order *OrderError
	if (v.reason != "") != errors.As(err, &order) || v.reason != "" && !order.Clock {
		t.Errorf("error %v", err)
	}
	warnings, o.TrustOrder = nil, true
	if err := chainOf(a, b).checkOrder(o); err != nil {
		t.Errorf("with trust: %v", err)
	}
	if v.reason != "" && (len(warnings) != 1 || !strings.HasPrefix(warnings[0], "taken on your word: ") || !strings.Contains(warnings[0], v.reason)) {
		t.Errorf("warnings %q", warnings)
	}
}

// What the wrong order gives: no clock makes it right.
func TestClocksReversed(t *testing.T) {
	for name, tt := range map[string]struct {
		a, b   format.Header
		reason string
		clock  bool
	}{
		"older, in one boot, though the clock says otherwise": {
			ordered(1, 9, since("S", 6), upFor(5, "boot")), ordered(2, 11, since("S", 6), upFor(4, "boot")), "it is older", true},
		"older by the clock of two boots": {ordered(1, 11, upFor(1, "boot")), ordered(2, 9, upFor(8, "other")), "it is older", true},
		"to one that was made within the same second": {
			ordered(1, 9, upTo("T", 8)), ordered(2, 11, since("R", 6), upTo("U", 8)), "both were made within the second", true},
		"one between is missing":            {ordered(1, 9, upTo("S", 8)), ordered(2, 11, since("T", 10)), "a patch between them is missing", true},
		"exactly from elsewhere":            {ordered(1, 9, upTo("S", 8)), ordered(2, 11, since("R", 7), exactly), "where the one before does not lead", false},
		"exactly, and past it in one boot":  {ordered(1, 9, since("S", 8)), ordered(2, 11, since("S", 8), exactly), "leads past it", false},
		"exactly, and past it by the clock": {ordered(1, 9), ordered(2, 11, since("S", 8), exactly), "leads past it", true},
		"to an older snapshot":              {ordered(1, 9, upTo("T", 8)), ordered(2, 11, since("R", 6), upTo("S", 7)), "it leads to a snapshot that is older", true},
		"way back to a newer snapshot":      {ordered(1, 9, upTo("S", 8)), ordered(2, 11, upTo("T", 10)), "it leads back to snapshot T, made after", true},
	} {
		t.Run(name, func(t *testing.T) {
			v := follows(tt.a, tt.b)
			if !strings.Contains(v.reason, tt.reason) || v.clock != tt.clock {
				t.Errorf("%+v", v)
			}
			err := chainOf(tt.a, tt.b).checkOrder(Options{TrustOrder: true, Warn: func(string) {}})
			if (err == nil) != tt.clock {
				t.Errorf("with trust: %v", err)
			}
		})
	}
}

// Snapshots that were dumped later than they were made, and a patch back from the newer
// to the older one: by their names, whatever was made when.
func TestClocksDontMatter(t *testing.T) {
	for name, pair := range map[string][2]format.Header{
		"first dumped late":      {ordered(1, 20, kind(format.Full), upTo("S", 8)), ordered(2, 11, since("S", 8), upTo("T", 10))},
		"back":                   {ordered(1, 9, since("S", 6), upTo("T", 8)), ordered(2, 11, since("T", 8), upTo("S", 6))},
		"back, and the clock":    {ordered(1, 5, since("S", 6), upTo("T", 8)), ordered(2, 4, since("T", 8), upTo("S", 6))},
		"exactly to where it is": {ordered(1, 9, upTo("T", 8)), ordered(2, 11, since("S", 7), upTo("T", 8), exactly)},
	} {
		t.Run(name, func(t *testing.T) {
			if v := follows(pair[0], pair[1]); v != (verdict{}) {
				t.Errorf("%+v", v)
			}
		})
	}
}

// How the clock was set is told.
func TestSkewTold(t *testing.T) {
	tests := map[string]struct {
		by   int64 // seconds that the clock went further than the time did
		want string
	}{
		"back":       {-3600, "set back by 1h0m0s"},
		"forward":    {90, "set forward by 1m30s"},
		"leap":       {1, ""},
		"leap, back": {-1, ""},
		"far ahead":  {1 << 31, "set forward by "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := ordered(1, 9, upFor(3, "boot")), ordered(2, 9, upFor(5, "boot"))
			b.Created = b.Created.Add(2*time.Hour + time.Duration(tt.by)*time.Second)
			for _, got := range []string{skewOf(a, b), skewOf(b, a)} {
				if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
			}
		})
	}
	hostile := ordered(1, 9, upFor(1, "boot"))
	hostile.Source.Uptime = math.MaxInt64
	if uptime(hostile) != 0 {
		t.Error("an uptime of 300 million years is taken")
	}
}

// An order is proposed by names first, not by when the patches were made.
func TestFittingOrderByNames(t *testing.T) {
	full := ordered(1, 20, kind(format.Full), upTo("A", 2)) // dumped last
	ab := ordered(2, 12, since("A", 2), upTo("B", 4))
	bc := ordered(3, 11, since("B", 4), upTo("C", 6))
	cd := ordered(4, 10, since("C", 6))
	for _, given := range [][]format.Header{{cd, bc, ab, full}, {full, cd, ab, bc}, {bc, full, ab, cd}} {
		if got := strings.Join(chainOf(given...).fittingOrder(), " "); got != "1 2 3 4" {
			t.Errorf("%q", got)
		}
	}
	if got := strings.Join(chainOf(cd, ab, bc).fittingOrder(), " "); got != "2 3 4" {
		t.Errorf("without a full patch: %q", got)
	}
	// Nothing is proposed that rests on clocks which are known to be wrong.
	skewed := ordered(1, 5, kind(format.Full), upTo("A", 6))
	if got := chainOf(ordered(2, 9, since("Z", 4)), skewed).fittingOrder(); got != nil {
		t.Errorf("%q", got)
	}
}
