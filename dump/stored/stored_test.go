package stored

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"

	"lvmsync/dump"
	"lvmsync/format"
	"lvmsync/format/archive"
)

// writePatch writes a patch of a volume of size bytes, with the records that make one up, to a
// file of the folder.
func writePatch(t *testing.T, dir, name string, h format.Header, content []byte,
	extents ...format.Record) {
	t.Helper()
	var out bytes.Buffer
	w, err := format.NewWriter(&out, h, format.WriterOptions{Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(extents, 100) {
		s := w.NewSegment()
		for _, x := range part {
			s.Records = append(s.Records, x)
			if x.Kind == format.Data {
				s.Data = append(s.Data, content[x.Off:x.End()]...)
			}
		}
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// header is that of a patch; one that follows another is a delta.
func header(size int64, follows uuid.UUID) format.Header {
	h := format.Header{ID: uuid.New(), Kind: format.Full, VolumeSize: size, Granularity: 512,
		Source: format.Source{Path: "/image"}, RequiredFeatures: []string{format.LostSectors}}
	if follows != uuid.Nil {
		h.Kind, h.Base = format.Delta, &format.Base{Patch: follows}
	}
	return h
}

// blocks cuts the volume into extents of 4096 bytes; those of zeros are such.
func blocks(content []byte) (all []format.Record) {
	for off := int64(0); off < int64(len(content)); off += 4096 {
		x := format.Record{Extent: format.Extent{Off: off,
			Len: min(4096, int64(len(content))-off)}}
		if part := content[off:x.End()]; bytes.Count(part, []byte{0}) == len(part) {
			x.Kind = format.Zero
		}
		all = append(all, x)
	}
	return all
}

// newest opens the newest state in a folder.
func newest(t *testing.T, dir string) *State {
	t.Helper()
	a, err := archive.Read(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Select(archive.Choice{Name: "last"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A state is read like the device that held it: its end is one.
func TestReadAt(t *testing.T) {
	content := make([]byte, 3<<20+100)
	rand.NewChaCha8([32]byte{1}).Read(content)
	clear(content[1<<20 : 2<<20])
	dir := t.TempDir()
	h := header(int64(len(content)), uuid.Nil)
	writePatch(t, dir, "last", h, content, blocks(content)...)
	s := newest(t, dir)
	if s.Patch() != h.ID || s.Size() != h.VolumeSize {
		t.Errorf("patch %v, %d bytes", s.Patch(), s.Size())
	}
	got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()+10))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	for _, off := range []int64{s.Size(), s.Size() + 1} {
		if n, err := s.ReadAt(make([]byte, 1), off); n != 0 || err != io.EOF {
			t.Errorf("at byte %d: %d, %v", off, n, err)
		}
	}
	z := s.Zeros()
	defer z.Close()
	for _, tt := range []struct {
		off, n int64
		want   bool
	}{{0, 4096, false}, {1 << 20, 1 << 20, true}, {1<<20 + 512, 1 << 20, false},
		{s.Size() - 1, 10, false}, {s.Size(), 10, true}} {
		if got, err := z.Cover(tt.off, tt.n); got != tt.want || err != nil {
			t.Errorf("zeros in %d bytes from %d on: %v, %v", tt.n, tt.off, got, err)
		}
	}
}

// Of what was lost it is said that nobody knows it; what a later patch has is not lost.
func TestLost(t *testing.T) {
	content := bytes.Repeat([]byte{7}, 64<<10)
	dir := t.TempDir()
	h := header(int64(len(content)), uuid.Nil)
	all := blocks(content)
	for _, i := range []int{2, 3, 5} {
		all[i].Kind, all[i].Lost = format.Zero, true
	}
	writePatch(t, dir, "first", h, content, all...)
	writePatch(t, dir, "last", header(h.VolumeSize, h.ID), content,
		format.Record{Extent: format.Extent{Off: 3 * 4096, Len: 4096}})
	s := newest(t, dir)
	b := make([]byte, 32<<10)
	n, err := s.ReadAt(b, 4096)
	var unknown *dump.UnknownError
	if !errors.As(err, &unknown) || n != 4096 || unknown.Off != 8192 || unknown.Len != 4096 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if covered, _ := s.Zeros().Cover(8192, 4096); covered {
		t.Error("what is lost is taken for zeros")
	}
	if f, err := dump.Fingerprint(context.Background(), s, s.Size()); err != nil || len(f) == 0 {
		t.Errorf("samples %v, %v", f, err)
	}
}

// A volume that was merged of one that became smaller ends where that did.
func TestMergedSmaller(t *testing.T) {
	content := bytes.Repeat([]byte{7}, 64<<10)
	dir := t.TempDir()
	h := header(int64(len(content)), uuid.Nil)
	last := uuid.New()
	h.State = &format.State{Patch: last}
	h.Merged = &format.Merged{Patches: []uuid.UUID{uuid.New(), last},
		Last: &format.MergedPart{ID: last, Kind: format.Delta, VolumeSize: 32 << 10}}
	writePatch(t, dir, "last", h, content, blocks(content)...)
	s := newest(t, dir)
	if s.Size() != 32<<10 || s.Patch() != last {
		t.Errorf("%d bytes, patch %v", s.Size(), s.Patch())
	}
	if n, err := s.ReadAt(make([]byte, 100), 32<<10-10); n != 10 || err != io.EOF {
		t.Errorf("at its end: %d, %v", n, err)
	}
}
