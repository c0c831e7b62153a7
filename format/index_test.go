package format

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// What is packed comes out again, across the pieces in which it is kept.
func TestPackedIndex(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var want []IndexEntry
	var x packedIndex
	for e := (IndexEntry{}); len(want) < 50_000; {
		e.Offset += rnd.Int64N(1 << rnd.IntN(40))
		e.Start = e.End + rnd.Int64N(1<<rnd.IntN(50))
		e.End = e.Start + rnd.Int64N(1<<rnd.IntN(40))
		want = append(want, e)
		x.add(e)
	}
	if len(x.pieces) < 3 {
		t.Fatalf("%d pieces test nothing", len(x.pieces))
	}
	if got := slices.Collect(x.all()); x.count != len(want) || !slices.Equal(got, want) {
		t.Errorf("%d entries come out of %d as %d, or differ", x.count, len(want), len(got))
	}
	for range x.all() {
		break // may end early
	}
}
