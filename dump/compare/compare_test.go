package compare

import (
	"errors"
	"math/rand/v2"
	"testing"

	"lvmsync/dump"
	"lvmsync/dump/full"
	"lvmsync/dump/internal/imagetest"
)

// Whatever differs is in the patch, and nothing else.
func TestPairs(t *testing.T) {
	imagetest.Run(t, func(t *testing.T, p imagetest.Pair, blockSize int64) dump.Source {
		src, err := Open(t.Context(), p.NewPath, p.OldPath, blockSize)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { src.Close() })
		return src
	})
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
