package apply

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lvmsync/format"
)

// newLossy is a volume whose zero extents at the given offsets are lost.
func newLossy(kind format.Kind, size int64, lost []int64, segments ...[]format.Extent) *volume {
	v := newVolume(kind, size, segments...)
	v.header.RequiredFeatures = []string{format.LostSectors}
	for _, s := range v.segments {
		for i := range s {
			s[i].lost = slices.Contains(lost, s[i].Off)
		}
	}
	return v
}

func acceptLost(o *Options) { o.AcceptLost = true }

// In each way that a patch can come, lost extents are refused, and taken as zeros if
// the user agrees.
func TestLost(t *testing.T) {
	const size = 64 << 10
	lossy := newLossy(format.Delta, size, []int64{1024, 8192, 8704, 20480, 24576, 28672},
		[]format.Extent{data(0, 512), zero(1024, 512), zero(2048, 512)},
		[]format.Extent{data(4096, 4096), zero(8192, 512)}, []format.Extent{zero(8704, 512),
			data(9216, 512), zero(20480, 512), zero(24576, 512), zero(28672, 512)})
	late := newLossy(format.Delta, size, []int64{8192}, []format.Extent{data(0, 4096)},
		[]format.Extent{data(4096, 4096), zero(8192, 512)}, []format.Extent{zero(10240, 512)})
	all := "3072 bytes in 5 extents, at bytes [1024, 1536), [8192, 9216), [20480, 20992), ..."
	for name, test := range map[string]struct {
		*volume
		pipe    bool
		change  func(*Options)
		through int // segments that are written before it's found
		text    string
	}{
		"file": {lossy, false, nil, 0, "when it was made: " + all},
		"dry run": {lossy, false, func(o *Options) { o.DryRun = true }, 0,
			"when it was made: " + all},
		"spool": {lossy, true, func(o *Options) { o.SpoolDir = t.TempDir() }, 0,
			"when it was made: " + all},
		"dry run, pipe": {lossy, true, func(o *Options) { o.DryRun = true }, 0,
			"when it was made: " + all},
		"file, undo": {lossy, false,
			func(o *Options) { o.Undo = filepath.Join(t.TempDir(), "undo") }, 0, all},
		"pipe, at once": {lossy, true, nil, 0,
			"at least 512 bytes in 1 extent, at bytes [1024, 1536)"},
		"pipe": {late, true, nil, 1, "at least 512 bytes in 1 extent, at bytes [8192, 8704)"},
		"late in a file": {late, false, nil, 0,
			"when it was made: 512 bytes in 1 extent, at bytes [8192, 8704)"},
	} {
		t.Run(name, func(t *testing.T) {
			before := garbage(size)
			path := image(t, t.TempDir(), before)
			patch, _ := test.patch(t)
			in := func() io.Reader {
				if test.pipe {
					return pipe(patch)
				}
				return bytes.NewReader(patch)
			}
			r := newRun(path)
			if test.change != nil {
				test.change(&r.Options)
			}
			r.do(t.Context(), in())
			if test.through == 0 {
				r.wantError(t, ErrLost, test.text)
			} else if r.wantPartial(t); !errors.Is(r.err, ErrLost) ||
				!strings.Contains(r.err.Error(), test.text) {
				t.Errorf("error %v, want %q", r.err, test.text)
			}
			r.wantWarning(t, "")
			wantContent(t, path, test.onto(before, test.through))
			if _, err := os.Stat(r.Undo); r.Undo != "" && err == nil {
				t.Error("there is an undo patch of nothing")
			}

			r.AcceptLost, r.err = true, nil
			if r.do(t.Context(), in()); r.err != nil {
				t.Fatal(r.err)
			}
			r.wantWarning(t, "could not be read when the patch was made")
			want := test.onto(before, 3)
			if r.DryRun {
				r.wantWarning(t, all+" of "+path+" would be zeros")
				want = before
			}
			wantContent(t, path, want)
			if r.report.Lost == 0 {
				t.Error("the report tells of nothing that is lost")
			}
			if r.Undo == "" {
				return
			}
			undo, err := os.ReadFile(r.Undo)
			if err != nil {
				t.Fatal(err)
			}
			apply(t, path, bytes.NewReader(undo)).wantWarning(t, "")
			wantContent(t, path, before)
		})
	}
}

// What lies past the end of the destination can't be lost there.
func TestLostCutOff(t *testing.T) {
	v := newLossy(format.Delta, 64<<10, []int64{32256, 40960},
		[]format.Extent{data(0, 512), zero(32256, 1024), zero(40960, 512)})
	patch, _ := v.patch(t)
	r := newRun(image(t, t.TempDir(), garbage(32<<10)))
	r.AllowSmaller = true
	r.do(t.Context(), bytes.NewReader(patch)).wantError(t, ErrLost,
		"512 bytes in 1 extent, at bytes [32256, 32768)")
	r = newRun(image(t, t.TempDir(), garbage(16<<10)))
	r.AllowSmaller = true
	if r.do(t.Context(), bytes.NewReader(patch)); r.err != nil {
		t.Error(r.err)
	}
}

// Of a chain, only what is lost in the end counts.
func TestLostInChain(t *testing.T) {
	const size = 64 << 10
	first := newLossy(format.Full, size, []int64{4096, 16384}, []format.Extent{data(0, 4096),
		zero(4096, 4096), data(8192, 8192), zero(16384, 512), data(16896, size-16896)})
	part := newLossy(format.Delta, size, []int64{32768},
		[]format.Extent{data(4096, 2048), zero(16384, 512), zero(32768, 512)})
	part.header.ID[0]++
	rest := newVolume(format.Delta, size, []format.Extent{data(6144, 2048)},
		[]format.Extent{zero(32256, 1024)})
	rest.header.ID[0] += 2
	do := func(t *testing.T, change func(*Options), volumes ...*volume) (*run, []byte) {
		t.Helper()
		r := newRun(image(t, t.TempDir(), garbage(size)))
		if change != nil {
			change(&r.Options)
		}
		var patches []Patch
		shall := garbage(size)
		for _, v := range volumes {
			b, _ := v.patch(t)
			patches = append(patches, Patch{"patch", bytes.NewReader(b)})
			shall = v.onto(shall, len(v.segments))
		}
		return r.doAll(t.Context(), patches), shall
	}
	// What looks at the patches alone says the same: each of them is right, and lacks something.
	told := func(want string, volumes ...*volume) {
		t.Helper()
		var patches []io.Reader
		for _, v := range volumes {
			b, _ := v.patch(t)
			patches = append(patches, bytes.NewReader(b))
		}
		verified, warnings, err := verify(t, patches...)
		if err != nil || verified[0].Lost.Bytes != 4608 || verified[0].Lost.Count != 2 ||
			verified[1].Lost.Bytes != 512 {
			t.Errorf("verified: %v, %+v", err, verified)
		}
		if text := strings.Join(warnings, "\n"); want == "" && text != "" ||
			!strings.Contains(text, want) {
			t.Errorf("warnings %q, want %q", text, want)
		}
	}
	told("2560 bytes in 2 extents, at bytes [6144, 8192), [32768, 33280) could not be read when "+
		"the patches were made", first, part)
	told("", first, part, rest)
	for _, dry := range []bool{false, true} {
		r, _ := do(t, func(o *Options) { o.DryRun = dry }, first, part)
		r.wantError(t, ErrLost, "2560 bytes in 2 extents, at bytes [6144, 8192), [32768, 33280)")
		wantContent(t, r.Destination, garbage(size))
	}
	r, shall := do(t, acceptLost, first, part)
	r.wantWarning(t, "2560 bytes in 2 extents, at bytes [6144, 8192), [32768, 33280)")
	wantContent(t, r.Destination, shall)
	r, shall = do(t, nil, first, part, rest)
	if r.err != nil || r.report.Lost != 0 {
		t.Errorf("nothing is lost in the end: %v, %d bytes", r.err, r.report.Lost)
	}
	r.wantWarning(t, "")
	wantContent(t, r.Destination, shall)
}

// Nothing is written of a chain, though what is lost comes after all that the first of
// the merged segments has room for.
func TestLostLateInChain(t *testing.T) {
	const n = format.MaxSegmentExtents
	var many []format.Extent
	for i := range int64(n) {
		many = append(many, zero(i*1024, 512))
	}
	first := newLossy(format.Delta, (n+1)*1024, []int64{n * 1024}, many,
		[]format.Extent{zero(n*1024, 512)})
	second := newVolume(format.Delta, (n+1)*1024, []format.Extent{data(0, 512)})
	second.header.ID[0]++
	a, _ := first.patch(t)
	b, _ := second.patch(t)
	before := garbage((n + 1) * 1024)
	r := newRun(image(t, t.TempDir(), before))
	r.doAll(t.Context(), []Patch{{"a", bytes.NewReader(a)}, {"b", bytes.NewReader(b)}}).wantError(t,
		ErrLost, "512 bytes in 1 extent")
	wantContent(t, r.Destination, before)
}
