package compare

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"lvmsync/dump"
	"lvmsync/dump/full"
	"lvmsync/dump/internal/imagetest"
)

// Whatever differs is in the patch, and nothing else.
func TestPairs(t *testing.T) {
	imagetest.Run(t, 0, func(t *testing.T, p imagetest.Pair, blockSize int64) dump.Source {
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

// A base that became smaller meanwhile looks like a hole, and gives no patch.
func TestBaseShrinks(t *testing.T) {
	p := imagetest.Pair{Old: make([]byte, 1<<20), New: make([]byte, 1<<20)}
	p.Old[1<<19] = 1
	p.Write(t, rand.New(rand.NewPCG(1, 2)))
	src, err := Open(t.Context(), p.NewPath, p.OldPath, 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := os.Truncate(p.OldPath, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := dump.Run(t.Context(), src, io.Discard, dump.Options{ExactBase: true}); err == nil {
		t.Error("no error")
	}
}
