package prune

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/follow"
	"lvmsync/format/volume"
)

// copied is the history in a folder of its own.
func (h *history) copied(t *testing.T) *history {
	c := *h
	c.dir = t.TempDir()
	if err := os.CopyFS(c.dir, os.DirFS(h.dir)); err != nil {
		t.Fatal(err)
	}
	return &c
}

// names are those in the folder, but for what a killed program leaves, which is hidden.
func (h *history) names(t *testing.T) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(contents(t, h.dir))),
		func(name string) bool { return name[0] == '.' })
}

// has wants of all states what could be read of them, read as anybody would: from one of the
// patches that lead there.
func (h *history) has(t *testing.T, readable map[*night][]bool) {
	t.Helper()
	got := h.readable(t)
	for state, want := range readable {
		if len(got[state]) != len(want) {
			t.Fatalf("nothing leads to %s, dumped at %v, or to another size", state.state(),
				state.dumped)
		}
		for i, ok := range want {
			if ok && !got[state][i] {
				t.Fatalf("block %d of %s is lost", i, state.state())
			}
		}
	}
}

// readable tells of each state which blocks of it can be read. What is read must be right.
func (h *history) readable(t *testing.T) map[*night][]bool {
	t.Helper()
	a, err := archive.Read(t.Context(), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[*night][]bool)
	for _, v := range a.Volumes {
		for _, c := range v.Chains {
			for _, p := range c.Patches {
				h.read(t, p, all)
			}
		}
	}
	return all
}

// night is where a patch leads, or what it was merged of.
func (h *history) night(t *testing.T, p *archive.Patch) *night {
	t.Helper()
	s := follow.StateOf(p.Header)
	for _, id := range append([]uuid.UUID{p.Header.ID, s.Patch}, s.Patches...) {
		if n := h.leads[id]; n != nil {
			return n
		}
	}
	t.Fatalf("%s leads nowhere", p.Path)
	return nil
}

// read adds what can be read of the state that a patch leads to, unless that is in doubt.
func (h *history) read(t *testing.T, p *archive.Patch, all map[*night][]bool) {
	t.Helper()
	if p.InDoubt() {
		return
	}
	night := h.night(t, p)
	want, chain, o := night.data, p.Chain(), volume.Options{}
	if !p.Restorable() {
		if h.begin == nil {
			return
		}
		at := len(chain) - 1
		for at >= 0 && !slices.Contains(follow.Starts(chain[at].Header), h.begin.state()) {
			at--
		}
		if at < 0 {
			return
		}
		chain = chain[at:]
		o.Base, o.BaseSize = bytes.NewReader(h.begin.data), int64(len(h.begin.data))
	}
	v := openChain(t, chain, o)
	defer v.Close()
	if v.Size() != int64(len(want)) {
		t.Fatalf("%s: %d bytes, want %d", p.Path, v.Size(), len(want))
	}
	if all[night] == nil {
		all[night] = make([]bool, len(want)/block)
	}
	b := make([]byte, block)
	for i := range all[night] {
		_, err := v.ReadAt(b, int64(i*block))
		switch {
		case errors.Is(err, volume.ErrLost):
		case err != nil:
			t.Fatal(err)
		case !bytes.Equal(b, want[i*block:(i+1)*block]):
			t.Fatalf("%s: block %d is wrong", p.Path, i)
		default:
			all[night][i] = true
		}
	}
}

// openChain opens patches as a volume.
func openChain(t *testing.T, chain []*archive.Patch, o volume.Options) *volume.Volume {
	t.Helper()
	var patches []volume.Patch
	for _, p := range chain {
		b, err := os.ReadFile(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := format.OpenFile(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		patches = append(patches, volume.Patch{Name: p.Path, File: f})
	}
	v, err := volume.Open(patches, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
