package apply

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
)

// A volume is what the test wants a destination to become: extents with their
// data, made without package format, so that the two can be compared.
type volume struct {
	header   format.Header
	segments [][]piece
}

type piece struct {
	format.Extent
	data []byte // nil for zeros
	lost bool
}

func data(off, size int64) format.Extent {
	return format.Extent{Off: off, Len: size, Kind: format.Data}
}

func zero(off, size int64) format.Extent {
	return format.Extent{Off: off, Len: size, Kind: format.Zero}
}

// newVolume makes up data for each of the extents. Lists become segments.
func newVolume(kind format.Kind, size int64, segments ...[]format.Extent) *volume {
	v := &volume{header: format.Header{
		ID:          uuid.MustParse("6f1b40f4-7c36-4b0e-8a39-6bd4a3a2a1b0"),
		Kind:        kind,
		Created:     time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
		Tool:        "lvmsync-dump",
		ToolVersion: "0",
		Host:        "elsewhere.example",
		Source:      format.Source{Type: "device", Path: "/dev/vg/lv"},
		VolumeSize:  size,
		Granularity: 4096,
	}}
	rnd := rand.NewChaCha8([32]byte{7})
	for _, extents := range segments {
		var s []piece
		for _, e := range extents {
			p := piece{Extent: e}
			if e.Kind == format.Data {
				p.data = make([]byte, e.Len)
				rnd.Read(p.data)
			}
			s = append(s, p)
		}
		v.segments = append(v.segments, s)
	}
	return v
}

// patch writes the patch, and returns it with the places where its segments end.
func (v *volume) patch(t testing.TB) (patch []byte, ends []int) {
	t.Helper()
	var out bytes.Buffer
	w, err := format.NewWriter(&out, v.header, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, pieces := range v.segments {
		s := w.NewSegment()
		for _, p := range pieces {
			s.Records = append(s.Records, format.Record{Extent: p.Extent, Lost: p.lost})
			s.Data = append(s.Data, p.data...)
		}
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := format.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.segments {
		// docs/format.md: before trailer and index
		end := out.Len() - 72 - (8 + 16 + 24*len(v.segments) + 8)
		if i+1 < len(v.segments) {
			end = int(f.Index()[i+1].Offset)
		}
		ends = append(ends, end)
	}
	return out.Bytes(), ends
}

// onto returns what becomes of base when the first n segments are applied.
func (v *volume) onto(base []byte, n int) []byte {
	b := slices.Clone(base)
	for _, pieces := range v.segments[:n] {
		for _, p := range pieces {
			if p.Off >= int64(len(b)) {
				continue
			}
			at := b[p.Off:min(p.End(), int64(len(b)))]
			clear(at)
			copy(at, p.data)
		}
	}
	return b
}

// through is where the first n segments end in the volume.
func (v *volume) through(n int) int64 {
	if n == 0 {
		return 0
	}
	s := v.segments[n-1]
	return s[len(s)-1].End()
}

// garbage is what a destination holds before: no byte of it is zero.
func garbage(size int64) []byte {
	b := make([]byte, size)
	rnd := rand.NewChaCha8([32]byte{8})
	rnd.Read(b)
	for i := range b {
		b[i] |= 1
	}
	return b
}

// pipe hides that a patch could be read twice.
func pipe(patch []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(patch)} }

// A run is one call of Run with all that can be seen of it.
type run struct {
	Options
	report   Report
	err      error
	warnings []string
	inMemory string  // the warning that the destination is, as folders for tests may be
	steps    []int64 // of the applying stage
	verified bool    // there was a verifying stage
	onStep   func(int64)
}

// newRun prepares a Run onto path.
func newRun(path string) *run {
	return &run{Options: Options{Destination: path, system: fake(&fakeSystem{})}}
}

// do applies the patch.
func (r *run) do(ctx context.Context, patch io.Reader) *run {
	return r.doAll(ctx, []Patch{{Name: "patch", Reader: patch}})
}

// doAll applies patches that follow one another.
func (r *run) doAll(ctx context.Context, patches []Patch) *run {
	o := r.Options
	o.Warn = func(m string) {
		if strings.HasPrefix(m, r.Destination+" is kept in memory") {
			r.inMemory = m
			return
		}
		r.warnings = append(r.warnings, m)
	}
	o.Progress = func(s Stage, done int64) {
		if s == Verifying {
			r.verified = true
		} else {
			r.steps = append(r.steps, done)
			if r.onStep != nil {
				r.onStep(done)
			}
		}
	}
	r.report, r.err = Run(ctx, patches, o)
	return r
}

// apply applies the patch and wants it to succeed.
func apply(t testing.TB, path string, patch io.Reader, change ...func(*Options)) *run {
	t.Helper()
	r := newRun(path)
	for _, c := range change {
		c(&r.Options)
	}
	if r.do(t.Context(), patch); r.err != nil {
		t.Fatalf("apply to %s: %v", path, r.err)
	}
	return r
}

// inMemoryWarning is in the warning about an undo patch that is kept in memory, as that of a
// test may well be.
const inMemoryWarning = " is kept in memory "

// wantWarning wants one warning that holds text, or none if text is empty.
func (r *run) wantWarning(t *testing.T, text string) {
	t.Helper()
	warnings := slices.DeleteFunc(slices.Clone(r.warnings), func(w string) bool {
		return strings.Contains(w, inMemoryWarning)
	})
	switch {
	case text == "" && len(warnings) > 0:
		t.Errorf("warnings: %q, want none", warnings)
	case text != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], text)):
		t.Errorf("warnings: %q, want one with %q", warnings, text)
	}
}

// wantError wants an error of the given kind, if one is given, in a single line
// that holds text; and no PartialError.
func (r *run) wantError(t *testing.T, kind error, text string) {
	t.Helper()
	var partial *PartialError
	switch {
	case r.err == nil:
		t.Fatal("no error")
	case errors.As(r.err, &partial):
		t.Errorf("the destination is said to be part-way: %v", r.err)
	case kind != nil && !errors.Is(r.err, kind):
		t.Errorf("%v: not %q", r.err, kind)
	case !strings.Contains(r.err.Error(), text) || strings.Contains(r.err.Error(), "\n"):
		t.Errorf("%q: want one line with %q", r.err, text)
	}
}

// wantPartial wants a PartialError.
func (r *run) wantPartial(t *testing.T) *PartialError {
	t.Helper()
	var partial *PartialError
	if !errors.As(r.err, &partial) {
		t.Fatalf("error %v, want a PartialError", r.err)
	}
	return partial
}

// image makes a file with the given content.
func image(t testing.TB, dir string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, "image")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantContent compares a file or device with what it shall hold. The page cache
// has no part in it if the system can go without.
func wantContent(t *testing.T, path string, want []byte) {
	t.Helper()
	got := readPastCache(t, path)
	if sha256.Sum256(got) == sha256.Sum256(want) {
		return
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d bytes, want %d", path, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: differs from byte %d on: %#x, want %#x", path, i, got[i], want[i])
		}
	}
}
