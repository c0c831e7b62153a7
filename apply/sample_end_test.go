package apply

import (
	"bytes"
	"testing"
)

// A sample that ends where the destination does counts, for one patch and in a chain.
func TestSampleAtTheEnd(t *testing.T) {
	base := random(1, mib)
	last := mib/blocks(1) - 1
	right, wrong := sampledPatch(t, base, 3, last),
		sampledPatch(t, changed(base, 2, last, last+1), 3, last)
	next := sampledPatch(t, base, 5, 9)
	full := fullPatch(t, base)
	for _, test := range []struct {
		name    string
		patches [][]byte
		ok      bool
	}{
		{"one", [][]byte{right}, true},
		{"wrong one", [][]byte{wrong}, false},
		{"first of a chain", [][]byte{right, next}, true},
		{"wrong first of a chain", [][]byte{wrong, next}, false},
		{"behind a full patch", [][]byte{full, right}, true},
		{"wrong behind a full patch", [][]byte{full, wrong}, false},
	} {
		r := newRun(image(t, t.TempDir(), base))
		var patches []Patch
		for _, p := range test.patches {
			patches = append(patches, Patch{"patch", bytes.NewReader(p)})
		}
		if r.doAll(t.Context(), patches); test.ok && r.err != nil {
			t.Errorf("%s: %v", test.name, r.err)
		} else if !test.ok {
			r.wantError(t, ErrWrongBase, "1 of 1 samples")
			wantContent(t, r.Destination, base)
		}
	}
}
