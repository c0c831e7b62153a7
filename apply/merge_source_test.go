package apply

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
)

// readFrom is a patch that was read from a source, the number-th of its row.
func readFrom(t *testing.T, number int, kind format.Kind, source format.Source) []byte {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	v := smallVolume()
	v.header.ID, v.header.Kind = uuid.UUID{15: byte(number)}, kind
	v.header.Created = v.header.Created.Add(time.Duration(number) * time.Hour)
	v.header.Host, v.header.Source = host, source
	if number > 1 {
		v.header.Base = &format.Base{Patch: uuid.UUID{15: byte(number - 1)}}
	}
	patch, _ := v.patch(t)
	return patch
}

// A merged patch is refused by the sources of all patches that it was merged of, however that was
// done, but undo patches, which were read from where they go.
func TestMergedSources(t *testing.T) {
	const uuidOf = "LVM-AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHH00001111222233334444555566660000"
	a := format.Source{Type: "device", DeviceUUID: uuidOf + "-a", BootID: "boot-1",
		Storage: []format.Place{{ID: "8:1", Length: 1 << 20}}}
	b := format.Source{Type: "device", DeviceUUID: uuidOf + "-b", BootID: "boot-2",
		Storage: []format.Place{{ID: "8:2", Length: 1 << 20}}}
	now := func(s format.Source) format.Source { s.BootID = "boot-3"; return s }
	const delta, undo = format.Delta, format.Undo
	for name, tt := range map[string]struct {
		kinds   []format.Kind
		sources []format.Source
		dst     format.Source
		own     bool
	}{
		"the last":      {[]format.Kind{delta, delta}, []format.Source{a, b}, now(b), true},
		"the first":     {[]format.Kind{delta, delta}, []format.Source{a, b}, now(a), true},
		"by its places": {[]format.Kind{delta, delta}, []format.Source{b, a}, b, true},
		"none":          {[]format.Kind{delta, delta}, []format.Source{a, a}, now(b), false},
		"of three": {[]format.Kind{delta, delta, delta}, []format.Source{b, a, b}, now(a),
			true},
		"undo, then another":  {[]format.Kind{undo, delta}, []format.Source{b, a}, now(a), true},
		"undo, of it":         {[]format.Kind{undo, delta}, []format.Source{b, a}, now(b), false},
		"another, then undo":  {[]format.Kind{delta, undo}, []format.Source{a, b}, now(a), true},
		"then undo, of it":    {[]format.Kind{delta, undo}, []format.Source{a, b}, now(b), false},
		"undo patches, of it": {[]format.Kind{undo, undo}, []format.Source{b, b}, b, false},
	} {
		t.Run(name, func(t *testing.T) {
			var patches [][]byte
			for i, kind := range tt.kinds {
				patches = append(patches, readFrom(t, i+1, kind, tt.sources[i]))
			}
			trust := func(mo *MergeOptions) { mo.TrustOrder = true }
			once, _ := mergeAll(t, patches, trust)
			rows := map[string][][]byte{"one by one": patches, "merged": {once}}
			if n := len(patches); n > 2 {
				first, _ := mergeAll(t, patches[:n-1], trust)
				last, _ := mergeAll(t, patches[1:], trust)
				left, _ := mergeAll(t, [][]byte{first, patches[n-1]}, trust)
				right, _ := mergeAll(t, [][]byte{patches[0], last}, trust)
				rows["merged from the left"] = [][]byte{left}
				rows["merged from the right"] = [][]byte{right}
			}
			for how, row := range rows {
				there := garbage(16384)
				r := newRun(image(t, t.TempDir(), there))
				r.system, r.TrustOrder = fake(&fakeSystem{source: tt.dst}), true
				r.doAll(t.Context(), namedPatches(row))
				if own := errors.Is(r.err, ErrOwnSource); own != tt.own || !own && r.err != nil {
					t.Errorf("%s: %v", how, r.err)
				}
				now, err := os.ReadFile(r.Destination)
				if err != nil || bytes.Equal(now, there) != tt.own {
					t.Errorf("%s: written to: %v, %v", how, !bytes.Equal(now, there), err)
				}
			}
		})
	}
}
