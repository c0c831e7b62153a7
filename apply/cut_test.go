package apply

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"lvmsync/format"
)

// smallVolume is a delta whose patch is short enough to try every byte.
func smallVolume() *volume {
	return newVolume(format.Delta, 16384,
		[]format.Extent{data(512, 512), zero(1024, 1024)},
		[]format.Extent{zero(4096, 512)},
		[]format.Extent{data(8192, 512), zero(12288, 4096)})
}

// memory is a folder for many small writes that needn't survive.
func memory(t *testing.T) string {
	if os.Geteuid() == 0 {
		return mount(t, "tmpfs", "none", "size=64m")
	}
	return t.TempDir()
}

// wantUntouched wants an error and a destination that is as it was.
func wantUntouched(t *testing.T, r *run, base []byte) {
	t.Helper()
	r.wantError(t, nil, "")
	wantContent(t, r.Destination, base)
}

// wantPrefix wants the error of a pipe that broke in the segment after the first
// n, and a destination that holds these.
func wantPrefix(t *testing.T, r *run, vol *volume, base []byte, n int) {
	t.Helper()
	if n == 0 {
		wantUntouched(t, r, base)
		return
	}
	partial := r.wantPartial(t)
	if partial.Through != vol.through(n) || !partial.Durable ||
		partial.Destination != r.Destination {
		t.Errorf("%+v after %d segments", partial, n)
	}
	wantContent(t, r.Destination, vol.onto(base, n))
}

// whole is how many segments there are in the first n bytes of a patch.
func whole(ends []int, n int) int {
	for i, end := range ends {
		if n < end {
			return i
		}
	}
	return len(ends)
}

func TestCut(t *testing.T) {
	vol := smallVolume()
	patch, ends := vol.patch(t)
	base := garbage(16384)
	dir := memory(t)
	for n := range patch {
		kind := format.ErrTruncated
		if n == 0 {
			kind = format.ErrNotPatch
		}
		r := newRun(image(t, dir, base)).do(t.Context(), pipe(patch[:n]))
		if !errors.Is(r.err, kind) {
			t.Errorf("pipe of %d bytes: %v", n, r.err)
		}
		wantPrefix(t, r, vol, base, whole(ends, n))

		r = newRun(image(t, dir, base)).do(t.Context(), bytes.NewReader(patch[:n]))
		if !errors.Is(r.err, kind) {
			t.Errorf("file of %d bytes: %v", n, r.err)
		}
		wantUntouched(t, r, base)
		if t.Failed() {
			t.Fatalf("patch of %d bytes cut to %d", len(patch), n)
		}
	}
}

// A flipped bit is seen at the latest in the segment that it is in, but for the
// one bit of a frame that zstd ignores: that breaks the checksum of the patch.
func TestFlip(t *testing.T) {
	vol := smallVolume()
	patch, ends := vol.patch(t)
	base := garbage(16384)
	dir := memory(t)
	for i := range patch {
		bad := bytes.Clone(patch)
		bad[i] ^= 1 << (i % 8)
		r := newRun(image(t, dir, base)).do(t.Context(), pipe(bad))
		n := whole(ends, i)
		var corrupt *format.CorruptError
		if errors.As(r.err, &corrupt) && corrupt.Part == "trailer" {
			n = len(ends)
		}
		wantPrefix(t, r, vol, base, n)

		wantUntouched(t, newRun(image(t, dir, base)).do(t.Context(), bytes.NewReader(bad)), base)
		if t.Failed() {
			t.Fatalf("bit %d of byte %d: %v", i%8, i, r.err)
		}
	}
}

// Something behind the trailer is known only when all is written.
func TestGarbageAfterPatch(t *testing.T) {
	vol := smallVolume()
	patch, _ := vol.patch(t)
	patch = append(patch, patch...)
	base := garbage(16384)
	dir := memory(t)
	wantPrefix(t, newRun(image(t, dir, base)).do(t.Context(), pipe(patch)), vol, base, 3)
	wantUntouched(t, newRun(image(t, dir, base)).do(t.Context(), bytes.NewReader(patch)), base)
}

// failingReader gives an error in place of the patch's end.
type failingReader struct {
	*bytes.Reader
	err error
}

func (r failingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil {
		err = r.err
	}
	return n, err
}

func TestReadError(t *testing.T) {
	vol := smallVolume()
	patch, ends := vol.patch(t)
	base := garbage(16384)
	dir := memory(t)
	broken := errors.New("cable cut")
	for _, n := range []int{0, 10, ends[0] - 1, ends[0], ends[1], ends[2], len(patch)} {
		in := struct{ failing }{failing{failingReader{bytes.NewReader(patch[:n]), broken}}}
		r := newRun(image(t, dir, base)).do(t.Context(), in)
		if !errors.Is(r.err, broken) || errors.Is(r.err, format.ErrCorrupt) {
			t.Errorf("after %d bytes: %v", n, r.err)
		}
		wantPrefix(t, r, vol, base, whole(ends, n))
	}
}

// failing hides all but Read.
type failing struct{ r failingReader }

func (f failing) Read(b []byte) (int, error) { return f.r.Read(b) }

// The rest of a patch is proposed only if there is one: not when all of the volume has been
// written, and just the end of the patch is missing.
func TestNothingToResume(t *testing.T) {
	for size, rest := range map[int64]bool{mib: false, 2 * mib: true} {
		v := newVolume(format.Full, size, []format.Extent{data(0, mib/2)},
			[]format.Extent{data(mib/2, mib/2)})
		if rest {
			v.segments = append(v.segments, []piece{{Extent: zero(mib, mib)}})
		}
		b, ends := v.patch(t)
		r := newRun(image(t, t.TempDir(), garbage(size))).do(t.Context(), pipe(b[:ends[1]]))
		if p := r.wantPartial(t); p.Resumable != rest || p.Through != mib {
			t.Errorf("%+v", p)
		}
	}
}
