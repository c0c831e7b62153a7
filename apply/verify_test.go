package apply

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format"
)

// fullPatch is a full patch of a volume, made at 0 o'clock.
func fullPatch(t testing.TB, now []byte) []byte {
	t.Helper()
	v := newVolume(format.Full, int64(len(now)), []format.Extent{data(0, int64(len(now)))})
	v.header.Created = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	v.segments[0][0].data = now
	patch, _ := v.patch(t)
	return patch
}

// sampledPatch is a delta that changes one block, with a sample of another one.
func sampledPatch(t testing.TB, now []byte, block, sample int) []byte {
	t.Helper()
	v := newVolume(format.Delta, int64(len(now)),
		[]format.Extent{data(int64(blocks(block)), int64(blocks(1)))})
	v.header.ID[0], v.header.Created = byte(block), time.Now()
	v.segments[0][0].data = now[blocks(block):blocks(block+1)]
	v.header.Base = &format.Base{Fingerprint: format.Fingerprint{{
		Offset: int64(blocks(sample)),
		Hash:   format.Hash(xxhash.Sum64(now[blocks(sample):blocks(sample+1)]))}}}
	patch, _ := v.patch(t)
	return patch
}

// verify names patches by their place.
func verify(t testing.TB, patches ...io.Reader) (verified []Verified,
	warnings []string, err error) {
	t.Helper()
	var named []Patch
	for i, p := range patches {
		named = append(named, Patch{Name: string(rune('a' + i)), Reader: p})
	}
	verified, err = Verify(t.Context(), named, VerifyOptions{Warn: func(m string) {
		warnings = append(warnings, m)
	}})
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is not one line", err)
	}
	return verified, warnings, err
}

func files(patches ...[]byte) []io.Reader {
	var all []io.Reader
	for _, p := range patches {
		all = append(all, bytes.NewReader(p))
	}
	return all
}

func flipped(patch []byte) []byte {
	b := slices.Clone(patch)
	b[len(b)/2] ^= 4
	return b
}

// What Verify says of a chain, with the first one full or not.
func TestVerify(t *testing.T) {
	base := random(1, mib)
	first := changed(base, 2, 10, 20)
	second := changed(first, 3, 15, 30)
	other := changed(base, 4, 12, 13)
	zeroed := slices.Clone(first)
	clear(zeroed[blocks(12):blocks(13)])
	full, mon, tue := fullPatch(t, base), exactPatch(t, base, first), exactPatch(t, first, second)
	grown := append(slices.Clone(first), random(5, blocks(4))...)
	grow := newVolume(format.Delta, int64(len(grown)), []format.Extent{data(mib, int64(blocks(4)))})
	grow.segments[0][0].data, grow.header.Created = grown[mib:], time.Now()
	grows, _ := grow.patch(t)
	tests := []struct {
		name    string
		patches []io.Reader
		want    string // part of the error; empty: none
		is      error
	}{
		{"one", files(full), "", nil},
		{"one from a pipe", []io.Reader{pipe(mon)}, "", nil},
		{"chain", files(full, mon, tue), "", nil},
		{"nothing changed", files(full, mon, exactPatch(t, first, first)), "", nil},
		{"the volume has grown",
			files(full, mon, grows, exactPatch(t, grown, changed(grown, 6, 250, 258))), "", nil},
		{"deltas alone", files(mon, tue), "", nil},
		{"flipped", files(flipped(full)), "patch is corrupt", format.ErrCorrupt},
		{"cut, from a pipe", []io.Reader{pipe(full[:len(full)-1])}, "patch is truncated",
			format.ErrTruncated},
		{"second is flipped", files(full, flipped(mon), tue),
			"b: patch is corrupt", format.ErrCorrupt},
		{"no patch", files(full, []byte("some text")), "b: not an lvmsync patch",
			format.ErrNotPatch},
		{"order", files(full, tue, mon), "c does not follow b: it is older", ErrWrongBase},
		{"two of them a pipe", []io.Reader{bytes.NewReader(full), pipe(mon)}, "b: only files", nil},

		{"a delta is missing", files(full, tue),
			"what comes before b is not its base: 5 extents hold something else", ErrWrongBase},
		{"the second does not fit", files(full, mon, exactPatch(t, other, second)),
			"what comes before c is not its base: 10 extents", ErrWrongBase},
		{"the same, unknown without a full one", files(mon, exactPatch(t, other, second)), "", nil},
		{"zeros are no excuse", files(full, exactPatch(t, other, zeroed)),
			"an extent holds something else", ErrWrongBase},
		{"sample", files(full, sampledPatch(t, base, 3, 40)), "", nil},
		{"wrong sample", files(full, sampledPatch(t, second, 3, 20)),
			"what comes before b is not its base: 1 of 1 samples", ErrWrongBase},
		{"wrong sample, though touched later",
			files(full, sampledPatch(t, second, 3, 20), sampledPatch(t, second, 20, 3)),
			"1 of 1 samples", ErrWrongBase},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			verified, warnings, err := verify(t, tt.patches...)
			switch {
			case tt.want == "" &&
				(err != nil || len(verified) != len(tt.patches) || len(warnings) > 0):
				t.Errorf("error %v, warnings %q", err, warnings)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			case tt.is != nil && !errors.Is(err, tt.is):
				t.Errorf("%v is not %v", err, tt.is)
			}
		})
	}
}

// What is known of a patch is the same whether it comes from a file or a pipe.
func TestVerifiedPatch(t *testing.T) {
	v := newVolume(format.Full, 4*mib, []format.Extent{data(0, mib)},
		[]format.Extent{zero(mib, 3*mib)})
	patch, _ := v.patch(t)
	for _, r := range []io.Reader{bytes.NewReader(patch), pipe(patch)} {
		got, _, err := verify(t, r)
		if err != nil {
			t.Fatal(err)
		}
		want := format.Totals{Segments: 2, Extents: 2, DataBytes: mib, ZeroBytes: 3 * mib}
		if g := got[0]; g.Totals != want || g.Size != int64(len(patch)) || g.NoEnd ||
			g.Header.ID != v.header.ID || g.Name != "a" {
			t.Errorf("got %+v of %d bytes", g, len(patch))
		}
	}
}

// An undo patch without its end is taken from a file, and told of; no other patch is.
func TestVerifyNoEnd(t *testing.T) {
	v := newVolume(format.Undo, 4*mib, []format.Extent{data(0, mib)},
		[]format.Extent{data(2*mib, mib)})
	patch, ends := v.patch(t)
	got, warnings, err := verify(t, bytes.NewReader(patch[:ends[0]+1000]))
	if err != nil || !got[0].NoEnd || got[0].Totals.Segments != 1 || len(warnings) != 1 ||
		!strings.Contains(warnings[0], "a has no end") {
		t.Errorf("%+v, warnings %q, error %v", got, warnings, err)
	}
	if _, _, err := verify(t, pipe(patch[:ends[0]+1000])); !errors.Is(err, format.ErrTruncated) {
		t.Errorf("from a pipe: %v", err)
	}
}

// The bar never goes back, and what was begun is told once.
func TestVerifyProgress(t *testing.T) {
	base := random(1, mib)
	now := changed(base, 2, 10, 20)
	var steps []int64
	started := 0
	o := VerifyOptions{Warn: func(string) {}, Started: func(h []format.Header) {
		started += len(h)
	}, Progress: func(s Stage, done int64) { steps = append(steps, done) }}
	chain := func() []Patch {
		return []Patch{{"a", bytes.NewReader(fullPatch(t, base))},
			{"b", bytes.NewReader(exactPatch(t, base, now))}}
	}
	if _, err := Verify(t.Context(), chain(), o); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(steps) || len(steps) < 2 || steps[len(steps)-1] != int64(mib+blocks(10)) ||
		started != 2 {
		t.Errorf("steps %d, %d started", steps, started)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, chain(), o); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
