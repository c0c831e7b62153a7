package mount

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/archive"
)

// flip changes a byte of a segment of a patch, and returns the segment's range in the volume.
func (c *chain) flip(patch, segment int) format.IndexEntry {
	c.Helper()
	b, err := os.ReadFile(c.path(patch))
	if err != nil {
		c.Fatal(err)
	}
	f, err := format.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		c.Fatal(err)
	}
	e := f.Index()[segment]
	b[e.Offset+100] ^= 4
	if err := os.WriteFile(c.path(patch), b, 0o600); err != nil {
		c.Fatal(err)
	}
	return e
}

// A flipped bit is an error where it is, in all states that see it, and nowhere else; it is told
// once.
func TestDamage(t *testing.T) {
	c := newChain(t, 1000, 1)
	e := c.flip(0, 3)
	m := mount(t, c.volumes())
	for i := range m.files {
		f := m.open(i)
		failed := 0
		for off := int64(0); off < int64(len(c.images[i])); off += block {
			b := make([]byte, block)
			_, err := f.ReadAt(b, off)
			inside := off >= e.Start && off < e.End
			switch {
			case errors.Is(err, unix.EIO) && inside:
				failed++
			case err != nil || !bytes.Equal(b, c.images[i][off:off+block]):
				t.Fatalf("%s: byte %d of [%d, %d): %v", m.files[i], off, e.Start, e.End, err)
			}
		}
		// state 1 has some of these blocks from its own patch
		if failed < perSegment*(2-i)/2 || i == 0 && failed != perSegment {
			t.Errorf("%s: %d blocks could not be read", m.files[i], failed)
		}
	}
	m.want(fmt.Sprintf("%s: segment 3: patch is corrupt", c.path(0)))
}

// A patch that somebody writes to while it is open is an error from then on: what is read of it
// and what was read before may be of two patches.
func TestWrittenTo(t *testing.T) {
	c := newChain(t, 1000, 1)
	m := mount(t, c.volumes())
	f := m.open(0)
	b := make([]byte, block)
	if _, err := f.ReadAt(b, 0); err != nil || !bytes.Equal(b, c.images[0][:block]) {
		t.Fatal(err)
	}
	patch, err := os.ReadFile(c.path(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.path(0), patch, 0o600); err != nil {
		t.Fatal(err)
	}
	past := time.Unix(1, 0) // a clock is not as fine as this test is quick
	if err := os.Chtimes(c.path(0), past, past); err != nil {
		t.Fatal(err)
	}
	last := int64(len(c.images[0]) - block)
	if _, err := f.ReadAt(b, last); !errors.Is(err, unix.EIO) {
		t.Errorf("read: %v", err)
	}
	m.want(c.path(0) + ": segment")
}

// What is lost can't be read, unless that was accepted; it is told once.
func TestLost(t *testing.T) {
	c := newChain(t, 10, 0)
	var out bytes.Buffer
	h := c.volumes()[0].States[0].Patch.Header
	w, err := format.NewWriter(&out, h, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := w.NewSegment()
	for i, lost := range []bool{false, true, true, false} {
		r := format.Record{Lost: lost}
		r.Extent = format.Extent{Off: int64(i) * block, Len: block, Kind: format.Zero}
		if i == 3 {
			r.Len = 7 * block
		}
		s.Records = append(s.Records, r)
	}
	if err := errors.Join(w.Write(s), w.Close(),
		os.WriteFile(c.path(0), out.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	m := mount(t, c.volumes())
	f := m.open(0)
	for i := range int64(10) {
		_, err := f.ReadAt(make([]byte, block), i*block)
		if lost := i == 1 || i == 2; errors.Is(err, unix.EIO) != lost || err != nil && !lost {
			t.Errorf("block %d: %v", i, err)
		}
	}
	m.want("could not be read when the patch was made")
	m = mount(t, c.volumes(), func(o *Options) { o.AcceptLost = true })
	got, err := os.ReadFile(m.files[0])
	if err != nil || !bytes.Equal(got, make([]byte, 10*block)) {
		t.Error(err)
	}
	m.want()
}

// There are no more warnings than anybody reads.
func TestToldOnce(t *testing.T) {
	var lines []string
	told := &told{keys: make(map[string]bool), warn: func(s string) { lines = append(lines, s) }}
	for i := range 3 * maxTold {
		for range 2 {
			told.once(fmt.Sprint(i), fmt.Sprint("line ", i))
		}
	}
	if len(lines) != maxTold+1 || !strings.Contains(lines[maxTold], "no more") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// A state whose patches are not there any more can't be opened, which is told; one that is open
// can be read.
func TestVanished(t *testing.T) {
	c := newChain(t, 200, 2)
	m := mount(t, c.volumes())
	f := m.open(1)
	if err := os.Remove(c.path(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Open(m.files[2]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened: %v", err)
	}
	m.want(c.path(2) + ": no such file or directory" + anew)
	if err := os.Rename(c.path(1), c.path(0)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(c.images[1]))
	if _, err := f.ReadAt(b, 0); err != nil || !bytes.Equal(b, c.images[1]) {
		t.Error(err)
	}
	f.Close()
	c.wantOpen(0)
	if _, err := os.Open(m.files[0]); !errors.Is(err, unix.EIO) {
		t.Errorf("a patch that was replaced: %v", err)
	}
	m.want(c.path(0) + ": " + archive.ErrReplaced.Error() + anew)
}

// A faulty base is one that panics.
type faulty struct{}

func (faulty) ReadAt([]byte, int64) (int, error) {
	var none []int
	return none[1], nil
}

// A fault of the program is an error for who has met with it, and is told.
func TestPanic(t *testing.T) {
	volumes := newChain(t, 20, 1).volumes()
	volumes[0].States = []State{{Patch: volumes[0].States[1].Patch, Base: true}}
	volumes[0].States[0].Patch.Follows = nil
	m := mount(t, volumes, func(o *Options) { o.Base, o.BaseSize = faulty{}, 20*block })
	f := m.open(0)
	for range 2 {
		if _, err := f.ReadAt(make([]byte, 20*block), 0); !errors.Is(err, unix.EIO) {
			t.Error(err)
		}
	}
	m.want("fault of this program, please report it: runtime error: index out of range [1] with " +
		"length 0, in lvmsync/cmd/internal/mount.faulty.ReadAt, line ")
}
