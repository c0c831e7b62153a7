package prune

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"slices"
	"testing"

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
func (h *history) has(t *testing.T, what string, readable map[string][]bool) {
	t.Helper()
	got := h.readable(t)
	for state, want := range readable {
		if len(got[state]) != len(want) {
			t.Fatalf("%s: nothing leads to %s, or to another size", what, state)
		}
		for i, ok := range want {
			if ok && !got[state][i] {
				t.Fatalf("%s: block %d of %s is lost", what, i, state)
			}
		}
	}
}

// readable tells of each state which blocks of it can be read. What is read must be right.
func (h *history) readable(t *testing.T) map[string][]bool {
	t.Helper()
	a, err := archive.Read(t.Context(), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]bool)
	for _, v := range a.Volumes {
		for _, c := range v.Chains {
			for _, p := range c.Patches {
				h.read(t, p, all)
			}
		}
	}
	return all
}

// read adds what can be read of the state that a patch leads to.
func (h *history) read(t *testing.T, p *archive.Patch, all map[string][]bool) {
	t.Helper()
	want, chain, o := h.states[p.State()], p.Chain(), volume.Options{}
	if !p.Restorable() {
		at := len(chain) - 1
		for at >= 0 && !slices.Contains(follow.Starts(chain[at].Header), h.begin) {
			at--
		}
		if at < 0 {
			return
		}
		chain = chain[at:]
		o.Base, o.BaseSize = bytes.NewReader(h.states[h.begin]), int64(len(h.states[h.begin]))
	}
	v := openChain(t, chain, o)
	defer v.Close()
	if v.Size() != int64(len(want)) {
		t.Fatalf("%s: %d bytes, want %d", p.Path, v.Size(), len(want))
	}
	if all[p.State()] == nil {
		all[p.State()] = make([]bool, len(want)/block)
	}
	b := make([]byte, block)
	for i := range all[p.State()] {
		_, err := v.ReadAt(b, int64(i*block))
		switch {
		case errors.Is(err, volume.ErrLost):
		case err != nil:
			t.Fatal(err)
		case !bytes.Equal(b, want[i*block:(i+1)*block]):
			t.Fatalf("%s: block %d is wrong", p.Path, i)
		default:
			all[p.State()][i] = true
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
