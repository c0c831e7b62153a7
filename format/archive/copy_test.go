package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
	"lvmsync/format/volume"
)

// damage changes a byte of a file, counted from its end if it is negative, or cuts the end off.
func damage(t *testing.T, path string, at int, cut bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		at += len(b)
	}
	if b[at] ^= 1; cut {
		b = b[:at]
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is damaged stops nobody as long as another file has the same patch, wherever the damage is
// that header, index and trailer show.
func TestWholeCopy(t *testing.T) {
	const size = 1 << 20
	h := patchtest.Header(format.Full, size)
	h.State = &format.State{Snapshot: "A", SnapshotCreated: made("A")}
	full := patchtest.Write(t, h, []format.Record{{Extent: format.Extent{Len: size,
		Kind: format.Zero}}})
	d := patchtest.Header(format.Delta, size)
	d.ID, d.Created = id(2), hour(3)
	d.Base = &format.Base{Snapshot: "A", SnapshotCreated: made("A")}
	d.State = &format.State{Snapshot: "B", SnapshotCreated: made("B")}
	delta := patchtest.Write(t, d, []format.Record{{Extent: format.Extent{Len: 8192}}})
	const inIndex = -72 - 20
	for name, tt := range map[string]struct {
		at   int
		cut  bool
		same bool // the list knows it
		want Status
	}{
		"header":  {30, false, true, Damaged},
		"trailer": {-10, false, true, Damaged},
		"index":   {inIndex, false, false, Copy}, // seen when it is opened
		"end":     {-72, true, true, Truncated},
	} {
		for _, bad := range []string{"full-1", "full-2", "delta-1", "delta-2"} {
			dir := t.TempDir()
			for file, b := range map[string][]byte{"full-1": full, "full-2": full,
				"delta-1": delta, "delta-2": delta} {
				if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			damage(t, filepath.Join(dir, bad), tt.at, tt.cut)
			a, err := Read(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			other := strings.NewReplacer("1", "2", "2", "1").Replace(bad)
			for _, f := range a.Files {
				if tt.same && filepath.Base(f.Path) == bad &&
					(f.Status != tt.want || f.Same == nil || filepath.Base(f.Same.Path) != other) {
					t.Errorf("%s of %s: %+v", name, bad, f)
				}
			}
			p, err := a.Select(Choice{})
			if err != nil || !strings.HasPrefix(filepath.Base(p.Path), "delta") {
				t.Errorf("%s of %s: %v, %v", name, bad, p, err)
				continue
			}
			v, files, err := p.Open(volume.Options{})
			if err != nil {
				t.Errorf("%s of %s: %v", name, bad, err)
				continue
			}
			for _, f := range files {
				if filepath.Base(f.Name()) == bad {
					t.Errorf("%s of %s: it was opened", name, bad)
				}
			}
			if _, err := v.ReadAt(make([]byte, size), 0); err != nil {
				t.Error(err)
			}
			v.Close()
			files.Close()
			f, err := p.OpenFile()
			if err != nil || filepath.Base(f.Name()) == bad {
				t.Errorf("%s of %s: %v", name, bad, err)
			}
			f.Close()
		}
	}
}

// Of two that are damaged none is taken for the other.
func TestNoWholeCopy(t *testing.T) {
	dir := t.TempDir()
	b := patchtest.Write(t, patchtest.Header(format.Full, 8192),
		[]format.Record{{Extent: format.Extent{Len: 8192}}})
	for _, file := range []string{"1", "2"} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
		damage(t, filepath.Join(dir, file), -72-20, false)
	}
	a, err := Read(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Select(Choice{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.OpenFile(); !errors.Is(err, format.ErrCorrupt) ||
		!strings.Contains(err.Error(), filepath.Join(dir, "1")) {
		t.Error(err)
	}
	for _, file := range []string{"1", "2"} {
		damage(t, filepath.Join(dir, file), 30, false)
	}
	if a, err = Read(t.Context(), dir); err != nil || len(a.Files) != 2 {
		t.Fatal(err, a.Files)
	}
	for _, f := range a.Files {
		if f.Status != Damaged || f.Same != nil {
			t.Errorf("%+v", f)
		}
	}
}

// An undo patch whose end was never written is no copy of the whole one: it has less.
func TestCopyWithoutEnd(t *testing.T) {
	dir := t.TempDir()
	b := patchtest.Write(t, patchtest.Header(format.Undo, 8192),
		[]format.Record{{Extent: format.Extent{Len: 4096}}},
		[]format.Record{{Extent: format.Extent{Off: 4096, Len: 4096}}})
	f, err := format.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	undo, part := filepath.Join(dir, "undo"), filepath.Join(dir, "part")
	for path, b := range map[string][]byte{undo: b, part: b[:f.Index()[1].Offset]} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damage(t, undo, -20, false)
	a, err := Read(t.Context(), dir)
	if err != nil || len(a.Files) != 1 || len(a.Volumes) != 1 || len(a.Volumes[0].Undo) != 1 {
		t.Fatalf("%v, %+v", err, a)
	}
	if f := a.Files[0]; f.Path != undo || f.Same != nil {
		t.Errorf("%+v", f)
	}
}
