package compare

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"lvmsync/dump/full"
	"lvmsync/dump/internal/imagetest"
	"lvmsync/format"
)

// open opens the difference of a pair.
func open(t *testing.T, p imagetest.Pair, blockSize int64) *Source {
	t.Helper()
	src, err := Open(t.Context(), p.NewPath, p.OldPath, blockSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

func check(t *testing.T, p imagetest.Pair, rnd *rand.Rand, blockSize int64) {
	t.Helper()
	p.Write(t, rnd)
	p.Check(t, open(t, p, blockSize), blockSize)
}

// What is left from some byte on completes what an earlier run has brought.
func TestStart(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			p, blockSize := imagetest.Random(rnd), format.SectorSize<<rnd.IntN(12)
			p.Write(t, rnd)
			src := open(t, p, int64(blockSize))
			p.CheckFrom(t, src, int64(blockSize), rnd.Int64N(int64(len(p.New))))
		})
	}
}

func TestEdges(t *testing.T) {
	for name, p := range imagetest.Edges() {
		for _, blockSize := range []int64{512, 4096, 1 << 20} {
			t.Run(fmt.Sprintf("%s, blocks of %d", name, blockSize), func(t *testing.T) {
				check(t, p, rand.New(rand.NewPCG(1, 2)), blockSize)
			})
		}
	}
}

// Whatever differs is in the patch, and nothing else.
func TestRandomPairs(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			check(t, imagetest.Random(rnd), rnd, format.SectorSize<<rnd.IntN(12))
		})
	}
}

func TestNothingToDump(t *testing.T) {
	p := imagetest.Pair{Old: []byte{1}}
	p.Write(t, rand.New(rand.NewPCG(1, 2)))
	if _, err := Open(t.Context(), p.NewPath, p.OldPath, 4096); !errors.Is(err, full.ErrEmpty) {
		t.Errorf("error %v", err)
	}
	if _, err := Open(t.Context(), p.OldPath, p.OldPath+"x", 4096); err == nil {
		t.Error("no error without the base")
	}
}
