package apply

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func spoolTo(dir string) func(*Options) {
	return func(o *Options) { o.SpoolDir = dir }
}

// With a spool, a pipe is as good as a file.
func TestSpool(t *testing.T) {
	vol := smallVolume()
	patch, ends := vol.patch(t)
	base := garbage(16384)
	dir, spool := memory(t), t.TempDir()
	path := image(t, dir, base)
	apply(t, path, pipe(patch), spoolTo(spool))
	wantContent(t, path, vol.onto(base, 3))

	bad := append([]byte(nil), patch...)
	bad[ends[1]+20] ^= 1
	for _, in := range [][]byte{patch[:ends[1]], patch[:ends[2]], patch[:len(patch)-1],
		append(patch, 0), bad} {
		r := newRun(image(t, dir, base))
		r.SpoolDir = spool
		wantUntouched(t, r.do(t.Context(), pipe(in)), base)
		if got := names(t, spool); len(got) > 0 {
			t.Errorf("left in the spool folder: %q", got)
		}
	}
}

func TestSpoolIsFull(t *testing.T) {
	vol := fullVolume()
	patch, _ := vol.patch(t)
	base := garbage(3 * mib)
	for _, size := range []string{"4k", "512k"} { // for not even the header, for a part
		spool := mount(t, "tmpfs", "none", "size="+size)
		other := image(t, spool, garbage(4096))
		r := newRun(image(t, t.TempDir(), base))
		r.SpoolDir = spool
		r.do(t.Context(), pipe(patch)).wantError(t, unix.ENOSPC, "")
		if want := "write the spool file in " + spool; !strings.HasPrefix(r.err.Error(), want) {
			t.Errorf("error %v", r.err)
		}
		wantContent(t, r.Destination, base)
		if got := names(t, spool); len(got) != 1 || got[0] != other {
			t.Errorf("left in the spool folder: %q", got)
		}
	}
}

func TestNoSpool(t *testing.T) {
	patch, _ := smallVolume().patch(t)
	base := garbage(16384)
	spool := filepath.Join(t.TempDir(), "missing")
	r := newRun(image(t, t.TempDir(), base))
	r.SpoolDir = spool
	r.do(t.Context(), pipe(patch)).wantError(t, unix.ENOENT, spool)
	wantContent(t, r.Destination, base)
}

// A patch that will not fit is refused before it is received.
func TestSpoolAfterChecks(t *testing.T) {
	vol := smallVolume()
	patch, ends := vol.patch(t)
	r := newRun(image(t, t.TempDir(), garbage(512)))
	r.SpoolDir = t.TempDir()
	r.do(t.Context(), pipe(patch[:ends[0]])).wantError(t, ErrTooSmall,
		"512 bytes, the volume 16384")
}
