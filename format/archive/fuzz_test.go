package archive

import (
	"bytes"
	"fmt"
	"testing"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

// Whatever headers say, each patch is told of once, the way to a state is one that ends, and no
// state can be restored without a full patch. It is in memory and in one goroutine, or else the
// fuzzer takes every other order for something new, and does nothing but make that small.
func FuzzNew(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 1, 1, 2, 0, 1, 2, 3, 0})
	f.Add([]byte{1, 2, 1, 0, 1, 1, 2, 0, 0, 0, 1, 3, 2, 5, 4, 1})
	f.Add([]byte{0, 0, 1, 7, 1, 9, 2, 30, 1, 10, 3, 60, 1, 11, 4, 100})
	f.Fuzz(func(t *testing.T, b []byte) {
		var patches []*Patch
		for i := 0; len(b) >= 4 && i < 300; i, b = i+1, b[4:] {
			patches = append(patches, fuzzPatch(i, b))
		}
		checkAll(t, New(patches), len(patches))
	})
}

// fuzzPatch makes a patch of four bytes, which name few others, so that many belong together.
func fuzzPatch(i int, b []byte) *Patch {
	n := i + 1
	if b[3]&64 > 0 {
		n = 1 + int(b[2]) // perhaps that of another one
	}
	p := patch(n, int(b[2]%24), int64(b[3]), kind(format.Kind(
		[]string{"full", "delta", "delta", "undo"}[b[0]%4])))
	p.Path = fmt.Sprint(i)
	h := &p.Header
	switch b[1] % 4 {
	case 1:
		from(string('A' + rune(b[1]>>4)))(h)
	case 2:
		follows(int(b[1] >> 2))(h)
	}
	switch b[3] % 4 {
	case 1:
		to(string('A' + rune(b[2]>>4)))(h)
	case 2:
		merged(int(b[2] >> 2))(h)
	}
	if b[0]&4 > 0 {
		h.Start = 512
	}
	if b[0]&8 > 0 {
		path("other")(h)
	}
	if h.Kind == format.Full {
		h.Base = nil
	}
	return p
}

// checkAll checks what is true of whatever n files hold.
func checkAll(t *testing.T, a *Archive, n int) {
	for _, v := range a.Volumes {
		n -= len(v.Undo)
		states := make(map[string]bool)
		for _, c := range v.Chains {
			n -= len(c.Patches)
			for _, p := range c.Patches {
				checkWay(t, c, p)
				if p.Restorable() {
					states[p.State()] = true
				}
			}
		}
		for _, p := range v.States() {
			if !p.Restorable() || !states[p.State()] {
				t.Errorf("%s can't be restored", p.Path)
			}
			delete(states, p.State())
		}
		if len(states) > 0 {
			t.Errorf("states are left out, or told twice: %v", states)
		}
	}
	if n != len(a.Files) {
		t.Errorf("of the files %d are told of as none, not %d", len(a.Files), n)
	}
}

func checkWay(t *testing.T, c Chain, p *Patch) {
	steps := 0
	for q := p; q.Follows != nil; q = q.Follows {
		if steps++; steps > 300 || q.Header.Kind != format.Delta {
			t.Fatalf("the way to %s goes on and on, or over %s", p.Path, q.Header.Kind)
		}
	}
	way := p.Chain()
	if len(way) != steps+1 || way[0] != c.First() || way[steps] != p {
		t.Errorf("the way to %s begins with %s", p.Path, way[0].Path)
	}
	if p.Restorable() != (way[0].Header.Kind == format.Full) {
		t.Errorf("%s: restorable is %v", p.Path, p.Restorable())
	}
}

// Of whatever bytes, the ends are read as they are.
func FuzzEnds(f *testing.F) {
	whole := patchtest.Write(f, patchtest.Header(format.Delta, 8192),
		[]format.Record{{Extent: format.Extent{Len: 8192}}})
	f.Add(whole, 0)
	f.Add(whole[:300], 9000)
	f.Add([]byte("text"), 1)
	f.Fuzz(func(t *testing.T, b []byte, zeros int) {
		b = append(bytes.Clone(b), make([]byte, max(0, zeros%(1<<15)))...)
		e := endsOf(t.Context(), bytes.NewReader(b), int64(len(b)))
		defer e.release()
		o, err := format.ReadOutline(e, int64(len(b)))
		want, wantErr := format.ReadOutline(bytes.NewReader(b), int64(len(b)))
		if fmt.Sprint(err) != fmt.Sprint(wantErr) || (o == nil) != (want == nil) {
			t.Fatalf("%v, want %v", err, wantErr)
		}
		if o == nil {
			return
		}
		if o.Size != want.Size || o.Totals != want.Totals || o.Header.ID != want.Header.ID {
			t.Errorf("%+v, want %+v", o, want)
		}
		if patch, err2 := format.OpenFile(bytes.NewReader(b), int64(len(b))); err2 == nil &&
			(err != nil || patch.Totals() != o.Totals || patch.Header().ID != o.Header.ID) {
			t.Errorf("%v, though it can be opened", err)
		}
	})
}
