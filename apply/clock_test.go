package apply

import (
	"math"
	"strings"
	"testing"
	"time"

	"lvmsync/format"
)

// What the wrong order gives: no clock makes it right.
func TestClocksReversed(t *testing.T) {
	for name, tt := range map[string]struct {
		a, b   format.Header
		reason string
		clock  bool
	}{
		"older, in one boot, though the clock says otherwise": {
			ordered(1, 9, since("S", 6), upFor(5, "boot")),
			ordered(2, 11, since("S", 6), upFor(4, "boot")), "it is older", true},
		"older by the clock of two boots": {ordered(1, 11, upFor(1, "boot")),
			ordered(2, 9, upFor(8, "other")), "it is older", true},
		"to one that was made within the same second": {
			ordered(1, 9, upTo("T", 8)), ordered(2, 11, since("R", 6), upTo("U", 8)),
			"both were made within the second", true},
		"one between is missing": {ordered(1, 9, upTo("S", 8)), ordered(2, 11, since("T", 10)),
			"a patch between them is missing", true},
		"exactly from elsewhere": {ordered(1, 9, upTo("S", 8)),
			ordered(2, 11, since("R", 7), exactly), "where the one before does not lead", false},
		"exactly, and past it in one boot": {ordered(1, 9, since("S", 8)),
			ordered(2, 11, since("S", 8), exactly), "leads past it", false},
		"exactly, and past it by the clock": {ordered(1, 9), ordered(2, 11, since("S", 8), exactly),
			"leads past it", true},
		"to an older snapshot": {ordered(1, 9, upTo("T", 8)),
			ordered(2, 11, since("R", 6), upTo("S", 7)),
			"it leads to a snapshot that is older", true},
		"way back to a newer snapshot": {ordered(1, 9, upTo("S", 8)), ordered(2, 11, upTo("T", 10)),
			"it leads back to snapshot T, made after", true},
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
		"first dumped late": {ordered(1, 20, kind(format.Full), upTo("S", 8)),
			ordered(2, 11, since("S", 8), upTo("T", 10))},
		"back": {ordered(1, 9, since("S", 6), upTo("T", 8)),
			ordered(2, 11, since("T", 8), upTo("S", 6))},
		"back, and the clock": {ordered(1, 5, since("S", 6), upTo("T", 8)),
			ordered(2, 4, since("T", 8), upTo("S", 6))},
		"exactly to where it is": {ordered(1, 9, upTo("T", 8)),
			ordered(2, 11, since("S", 7), upTo("T", 8), exactly)},
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
	for _, given := range [][]format.Header{{cd, bc, ab, full}, {full, cd, ab, bc},
		{bc, full, ab, cd}} {
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
