package durable

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// The disk begins to write long before Sync waits for it, with each part once; that this fails is a
// failure of the file like others.
func TestStart(t *testing.T) {
	type part struct{ off, n int64 }
	for _, failsAt := range []int{0, 2} {
		var parts []part
		fs := FS{Start: func(f *os.File, off, n int64) error {
			if parts = append(parts, part{off, n}); len(parts) == failsAt {
				return unix.EIO
			}
			return FS{}.start(f, off, n)
		}}
		f, err := fs.Temp(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, startSize/2+1)
		for range 5 {
			if _, err = f.Write(b); err != nil {
				break
			}
		}
		const two = startSize + 2
		if want := []part{{0, two}, {two, two}}; !slices.Equal(parts, want) {
			t.Errorf("%v, want %v", parts, want)
		}
		if (failsAt > 0) != errors.Is(err, unix.EIO) || errors.Is(f.Sync(), unix.EIO) != (err != nil) {
			t.Errorf("%d: %v, then %v", failsAt, err, f.Err())
		}
		f.Close()
	}
}
