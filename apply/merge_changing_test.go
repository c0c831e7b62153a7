package apply

import (
	"bytes"
	"testing"

	"lvmsync/format"
	"lvmsync/format/merge"
)

// An input that becomes another patch while it is merged, with the same totals and length, is
// noticed whenever that happens: what is merged is what was checked, or nothing.
func TestMergeOfChangingPatch(t *testing.T) {
	const size = 64 << 10
	full, _ := newVolume(format.Full, size, []format.Extent{data(0, 32<<10)},
		[]format.Extent{data(32<<10, 32<<10)}).patch(t)
	changed := func(header func(*format.Header), at int64) []byte {
		v := newVolume(format.Delta, size, []format.Extent{data(4096, 4096)},
			[]format.Extent{data(at, 4096)})
		v.header.ID[0]++
		v.header.Host = "a.example"
		if header != nil {
			header(&v.header)
		}
		patch, _ := v.patch(t)
		return patch
	}
	delta := changed(nil, 48<<10)
	trust := MergeOptions{TrustOrder: true, Warn: func(string) {}, Options: merge.Options{Level: 1}}
	for name, other := range map[string][]byte{
		"header": changed(func(h *format.Header) { h.Host = "b.example" }, 48<<10),
		"extent": changed(nil, 16<<10),
	} {
		if len(other) != len(delta) {
			t.Fatalf("%s: the patches have %d and %d bytes", name, len(delta), len(other))
		}
		failed := 0
		for more := range 12 {
			var out bytes.Buffer
			_, err := Merge(t.Context(), []Patch{{Name: "full", Reader: bytes.NewReader(full)},
				{Name: "delta", Reader: &changingPatch{Reader: bytes.NewReader(delta),
					then: bytes.NewReader(other), more: more}}}, &out, trust)
			if err != nil {
				failed++
				continue
			}
			h, _, err := format.Verify(bytes.NewReader(out.Bytes()))
			if err != nil || h.Host != "a.example" {
				t.Errorf("%s, after %d reads: merged for %s: %v", name, more, h.Host, err)
			}
		}
		if failed == 0 {
			t.Errorf("%s: never noticed", name)
		}
	}
}
