package compare

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/dump"
	"lvmsync/dump/full"
	"lvmsync/dump/internal/imagetest"
	"lvmsync/dump/stored"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/volume"
)

// write dumps a source to a file of the folder.
func write(t *testing.T, dir, name string, src dump.Source, exact bool) format.Header {
	t.Helper()
	defer src.Close()
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := dump.Run(t.Context(), src, f, dump.Options{ExactBase: exact, Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r.Header
}

// state opens what a file of the folder leads to.
func state(t *testing.T, dir, name string) *stored.State {
	t.Helper()
	a, err := archive.Read(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Select(archive.Choice{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	s, err := stored.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fullOf(t *testing.T, path string) dump.Source {
	t.Helper()
	v, err := full.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return v.Source()
}

// An archive that holds the old image tells the same as that itself: of a full patch, and of one
// and a delta that follows it by name.
func TestStoredPairs(t *testing.T) {
	seed := uint64(0)
	imagetest.Run(t, 1, func(t *testing.T, p imagetest.Pair, blockSize int64) dump.Source {
		seed++
		rnd, dir := rand.New(rand.NewPCG(seed, 1)), t.TempDir()
		older := imagetest.Pair{Old: bytes.Clone(p.Old), New: p.Old}
		for range rnd.IntN(20) {
			older.Old[rnd.IntN(len(older.Old))]++
		}
		if rnd.IntN(2) == 0 {
			older.Old = older.Old[:1+rnd.IntN(len(older.Old))]
		}
		older.Write(t, rnd)
		write(t, dir, "full", fullOf(t, older.OldPath), false)
		src, err := OpenStored(t.Context(), p.OldPath, state(t, dir, "full"), blockSize)
		if err != nil {
			t.Fatal(err)
		}
		last := write(t, dir, "delta", src, true)
		src, err = OpenStored(t.Context(), p.NewPath, state(t, dir, "delta"), blockSize)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { src.Close() })
		if src.Header.Base.Patch != last.ID {
			t.Errorf("it follows %v, want %v", src.Header.Base.Patch, last.ID)
		}
		return src
	})
}

// What an archive has lost is sent, whatever the volume holds there, and nothing is said of what
// it replaces.
func TestStoredLost(t *testing.T) {
	p := imagetest.Pair{Old: bytes.Repeat([]byte{7}, 1<<20), New: bytes.Repeat([]byte{7}, 1<<20)}
	clear(p.New[8192:12288])
	p.New[300] = 1
	p.Write(t, rand.New(rand.NewPCG(1, 2)))
	dir := t.TempDir()
	src := fullOf(t, p.OldPath)
	src.Data = broken{src.Data, []format.Extent{{Off: 512, Len: 1024}, {Off: 8192, Len: 4096},
		{Off: 1<<20 - 512, Len: 512}}}
	f, err := os.Create(filepath.Join(dir, "full"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := dump.Run(t.Context(), src, f, dump.Options{ZeroUnreadable: true}); err != nil {
		t.Fatal(err)
	}
	src.Close()
	if src, err = OpenStored(t.Context(), p.NewPath, state(t, dir, "full"), 4096); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "delta", src, true)
	d := open(t, dir, "delta")
	var got []format.Record
	for i := range d.Index() {
		s, err := d.ReadSegment(i)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s.Records...)
	}
	want := []struct {
		off, n  int64
		kind    format.ExtentKind
		hasBase bool
	}{{0, 512, format.Data, true}, {512, 1024, format.Data, false},
		{8192, 4096, format.Zero, false}, {1<<20 - 512, 512, format.Data, false}}
	for i, x := range got {
		if i >= len(want) || x.Off != want[i].off || x.Len != want[i].n || x.Kind != want[i].kind ||
			x.HasBase != want[i].hasBase || x.Lost {
			t.Errorf("extent %d is %+v", i, x)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d extents, want %d", len(got), len(want))
	}
	for _, s := range d.Header().Base.Fingerprint {
		if s.Offset == 0 || s.Offset == 8192 || s.Offset == 1<<20-4096 {
			t.Errorf("a sample at %d, where the archive knows nothing", s.Offset)
		}
	}
}

// open opens a patch of the folder.
func open(t *testing.T, dir, name string) *format.File {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := format.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// broken can't read some sectors.
type broken struct {
	dump.Reader
	bad []format.Extent
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	for _, e := range b.bad {
		if e.Off < off+int64(len(p)) && off < e.End() {
			return 0, errBroken
		}
	}
	return b.Reader.ReadAt(p, off)
}

// Damage in the archive ends the dump with the patch and its segment: it makes no delta.
func TestStoredDamage(t *testing.T) {
	p := imagetest.Pair{Old: make([]byte, 8<<20), New: make([]byte, 8<<20)}
	rand.NewChaCha8([32]byte{1}).Read(p.Old)
	copy(p.New, p.Old)
	p.Write(t, rand.New(rand.NewPCG(1, 2)))
	dir := t.TempDir()
	write(t, dir, "full", fullOf(t, p.OldPath), false)
	path := filepath.Join(dir, "full")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := OpenStored(t.Context(), p.NewPath, state(t, dir, "full"), 4096)
	var out bytes.Buffer
	if err == nil { // a sample may have found it
		_, err = dump.Run(t.Context(), src, &out, dump.Options{ExactBase: true})
		src.Close()
	}
	var damage *volume.SegmentError
	if !errors.As(err, &damage) || !errors.Is(err, format.ErrCorrupt) ||
		!strings.Contains(err.Error(), path+": segment ") {
		t.Error(err)
	}
	if _, _, err := format.Verify(&out); err == nil {
		t.Error("there is a whole patch")
	}
}

var errBroken = unix.EIO
