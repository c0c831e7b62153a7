package compare

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"lvmsync/dump"
	"lvmsync/dump/full"
	"lvmsync/dump/internal/imagetest"
	"lvmsync/format"
	"lvmsync/format/storage/devtest"
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

// holed makes a file of so many bytes that is a hole, but for a word at the given offsets.
func holed(t *testing.T, size int64, words ...int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "holed")
	f, err := os.Create(path)
	if err == nil {
		err = f.Truncate(size)
	}
	for _, off := range words {
		if err == nil {
			_, err = f.WriteAt([]byte("word"), off)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return path
}

// The end of the source is the end of all that it has opened.
func TestClose(t *testing.T) {
	p := imagetest.Pair{Old: make([]byte, 4096), New: make([]byte, 4096)}
	p.Write(t, rand.New(rand.NewPCG(1, 2)))
	src, err := Open(t.Context(), p.NewPath, p.OldPath, 4096)
	if err == nil {
		err = src.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range src.Inputs {
		if _, err := in.ReadAt(make([]byte, 512), 0); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", in.Name(), err)
		}
	}
	if len(src.Inputs) != 2 || src.Inputs[1].Name() != p.OldPath {
		t.Errorf("inputs: %v", src.Inputs.Paths())
	}
}

// A base that became smaller where the volume has a hole is read nowhere, and gives no patch
// either.
func TestBaseShrinksToHole(t *testing.T) {
	old := holed(t, 8<<20, 6<<20)
	src, err := Open(t.Context(), holed(t, 8<<20), old, 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := os.Truncate(old, 4<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := dump.Run(t.Context(), src, io.Discard, dump.Options{ExactBase: true}); err == nil {
		t.Error("no error")
	}
}

// Nor does a volume that became smaller where it has a hole, as the base has.
func TestVolumeShrinksToHole(t *testing.T) {
	now := holed(t, 8<<20)
	src, err := Open(t.Context(), now, holed(t, 8<<20), 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := os.Truncate(now, 4<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := dump.Run(t.Context(), src, io.Discard, dump.Options{ExactBase: true}); err == nil {
		t.Error("no error")
	}
}

// A hole past the end of the base is sent: what the destination holds there nobody knows.
func TestHolePastBase(t *testing.T) {
	const old, now = 2<<20 + 512, 4 << 20
	src, err := Open(t.Context(), holed(t, now, 0), holed(t, old, 0), 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	at := int64(old)
	for e, err := range src.Extents {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == format.Zero && e.Off <= at && at < e.End() {
			at = e.End()
		}
	}
	if at != now {
		t.Errorf("the bytes from %d on are left out", at)
	}
}

// What was written to the base by another device of the same storage is seen.
func TestBaseFlushed(t *testing.T) {
	old := holed(t, 1<<20)
	dev := devtest.Loop(t, old)
	f, err := os.OpenFile(dev, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("word"), 512<<10); err != nil {
		t.Fatal(err)
	}
	src, err := Open(t.Context(), holed(t, 1<<20, 0), old, 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	report, err := dump.Run(t.Context(), src, io.Discard, dump.Options{ExactBase: true})
	if err != nil || report.Totals.Bytes() != 8192 {
		t.Errorf("%d bytes differ, want 8192 (%v)", report.Totals.Bytes(), err)
	}
}

// However many extents differ that have no data, segments keep to their bound.
func TestManyZeros(t *testing.T) {
	const size = 10 << 20
	p := imagetest.Pair{Old: bytes.Repeat([]byte{1}, size), New: bytes.Repeat([]byte{1}, size)}
	for off := 0; off < size; off += 1024 {
		clear(p.New[off : off+512])
	}
	p.Write(t, rand.New(rand.NewPCG(1, 2)))
	src, err := Open(t.Context(), p.NewPath, p.OldPath, 512)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	report, err := dump.Run(t.Context(), src, io.Discard,
		dump.Options{ExactBase: true, BlockSize: 512})
	if err != nil || report.Totals.ZeroBytes != size/2 {
		t.Errorf("%d bytes of zeros, want %d (%v)", report.Totals.ZeroBytes, size/2, err)
	}
}
