package apply

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
)

// hashedPatch makes a delta of one extent, with the hash of what the base holds there.
func hashedPatch(t *testing.T, base, now []byte, e format.Extent) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := format.NewWriter(&out, format.Header{ID: uuid.New(), Kind: format.Delta,
		Created: time.Now(), VolumeSize: int64(len(now)), Granularity: format.SectorSize,
		Base: &format.Base{Exact: true}}, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := w.NewSegment()
	s.Records = append(s.Records,
		format.Record{Extent: e, HasBase: true, BaseHash: xxhash.Sum64(base[e.Off:e.End()])})
	if e.Kind == format.Data {
		s.Data = append(s.Data, now[e.Off:e.End()]...)
	}
	if err := w.Write(s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The base hash of an extent is compared to its last byte, whatever the extent is, wherever it lies
// and however the patch comes.
func TestBaseHashes(t *testing.T) {
	const size = 256<<10 + 10
	base := random(21, size)
	elsewhere := changed(base, 22, 60, 61)
	first := exactPatch(t, base, elsewhere)
	ways := map[string]func(t *testing.T, path string, patch []byte) *run{
		"file": func(t *testing.T, path string, patch []byte) *run {
			return newRun(path).do(t.Context(), bytes.NewReader(patch))
		},
		"pipe": func(t *testing.T, path string, patch []byte) *run {
			return newRun(path).do(t.Context(), pipe(patch))
		},
		"with undo": func(t *testing.T, path string, patch []byte) *run {
			r := newRun(path)
			r.Undo = path + ".undo"
			return r.do(t.Context(), bytes.NewReader(patch))
		},
		"dry run": func(t *testing.T, path string, patch []byte) *run {
			r := newRun(path)
			r.DryRun = true
			return r.do(t.Context(), bytes.NewReader(patch))
		},
		"chain": func(t *testing.T, path string, patch []byte) *run {
			return newRun(path).doAll(t.Context(),
				[]Patch{{"first", bytes.NewReader(first)}, {"second", bytes.NewReader(patch)}})
		},
	}
	for name, e := range map[string]format.Extent{
		"a block of zeros":         zero(8192, 4096),
		"many blocks of zeros":     zero(8192, 128<<10),
		"zeros off the grid":       zero(512, 5*512),
		"a block":                  data(8192, 4096),
		"data off the grid":        data(512, 1024),
		"data across two blocks":   data(4096-512, 1024),
		"data up to an odd end":    data(size-10, 10),
		"zeros up to an odd end":   zero(size-10-512, 10+512),
		"several blocks and parts": data(3*512, 6*4096),
	} {
		now := slices.Clone(base)
		clear(now[e.Off:e.End()])
		if e.Kind == format.Data {
			copy(now[e.Off:e.End()], random(23, int(e.Len)))
		}
		wrong := slices.Clone(base)
		wrong[e.End()-1] ^= 0x80
		patch := hashedPatch(t, base, now, e)
		for way, do := range ways {
			t.Run(name+", "+way, func(t *testing.T) {
				path := image(t, t.TempDir(), wrong)
				do(t, path, patch).wantError(t, ErrWrongBase, "something else")
				wantContent(t, path, wrong)
				for state, before := range map[string][]byte{"the base": base,
					"what it leads to": now} {
					if r := do(t, image(t, t.TempDir(), before), patch); r.err != nil {
						t.Errorf("onto %s: %v", state, r.err)
					}
				}
			})
		}
	}
}
