package apply

import (
	"errors"
	"strings"
	"testing"

	"lvmsync/format"
	"lvmsync/format/follow"
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
			v := follow.Check(tt.a, tt.b)
			if !strings.Contains(v.Reason, tt.reason) || v.Clock != tt.clock {
				t.Errorf("%+v", v)
			}
			err := chainOf(tt.a, tt.b).checkOrder(Options{TrustOrder: true, Warn: func(string) {}})
			if (err == nil) != tt.clock {
				t.Errorf("with trust: %v", err)
			}
		})
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

// A copy may be restored where it came from by itself only; what is not checked is named.
func TestToldOfChain(t *testing.T) {
	h := ordered(1, 9, kind(format.Full))
	for several, want := range map[bool]error{false: ErrRestore, true: ErrOwnSource} {
		if err := refuseSource("d", h, several, Options{}); err == nil ||
			!strings.Contains(err.Error(), ErrOwnSource.Error()+": d") ||
			errors.Is(err, ErrRestore) != (want == ErrRestore) {
			t.Errorf("%v", err)
		}
	}
	if err := refuseSource("d", ordered(1, 9), false, Options{Force: true}); err == nil ||
		errors.Is(err, ErrRestore) {
		t.Errorf("a delta: %v", err)
	}
}
