package apply

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lvmsync/format"
	"lvmsync/format/follow"
)

// Headers of two patches, the second of which is right behind the first: how they are
// linked.
var links = map[string]func() (a, b format.Header){
	"snapshot": func() (a, b format.Header) {
		return ordered(1, 9, since("R", 7), upTo("S", 8)), ordered(2, 11, since("S", 8))
	},
	"same state": func() (a, b format.Header) {
		return ordered(1, 9, since("R", 6), upTo("S", 8)),
			ordered(2, 11, since("Q", 7), upTo("S", 8))
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
				v := follow.Check(a, b)
				got := ""
				switch {
				case v.Reason != "" && !v.Clock:
					got = "never"
				case v.Unknown:
					got = "unknown"
				case v.Reason != "":
					got = "no"
				case v.Doubt != "":
					got = "doubt"
				}
				if got != want {
					t.Errorf("%q %q: %q, want %q", v.Reason, v.Doubt, got, want)
				}
				wantTrusted(t, a, b, v)
			})
		}
	}
}

// wantTrusted wants that the user's word overrules what times say, with a warning.
func wantTrusted(t *testing.T, a, b format.Header, v follow.Verdict) {
	t.Helper()
	var warnings []string
	o := Options{Warn: func(m string) { warnings = append(warnings, m) }}
	err := chainOf(a, b).checkOrder(o)
	var order *OrderError
	if (v.Reason != "") != errors.As(err, &order) || v.Reason != "" && !order.Clock {
		t.Errorf("error %v", err)
	}
	warnings, o.TrustOrder = nil, true
	if err := chainOf(a, b).checkOrder(o); err != nil {
		t.Errorf("with trust: %v", err)
	}
	if v.Reason != "" &&
		(len(warnings) != 1 || !strings.HasPrefix(warnings[0], "taken on your word: ") ||
			!strings.Contains(warnings[0], v.Reason)) {
		t.Errorf("warnings %q", warnings)
	}
}
