package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"lvmsync/format/durable"
	"lvmsync/format/storage"
)

// directSize is how much is read past the cache at a time, in bytes.
const directSize = 256 << 10

// A direct reads the destination past the page cache. After writes that failed, that
// holds, as if all were well, what the device does not: a run that is repeated then
// would take it for right and write nothing.
type direct struct {
	f      *os.File
	dest   *destination
	cached atomic.Bool // the file system can't do without the cache
}

// openDirect opens the destination once more, for reading past the cache where the
// file system can do that.
func openDirect(d *destination) (*direct, error) {
	in := &direct{dest: d}
	var err error
	in.f, err = openAgain(d, os.O_RDONLY|unix.O_DIRECT)
	if errors.Is(err, unix.EINVAL) {
		in.f, err = openAgain(d, os.O_RDONLY)
		in.useCache()
	}
	if err != nil {
		return nil, err
	}
	return in, nil
}

// openAgain opens the same file or device once more, whatever its name means by now.
func openAgain(d *destination, flags int) (*os.File, error) {
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", d.f.Fd()), flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		err = storage.ErrNoProc
	}
	if err != nil {
		return nil, fmt.Errorf("open %s once more: %w", d.path, durable.Cause(err))
	}
	return f, nil
}

// useCache gives up reading past the cache, and empties it as far as it can.
func (in *direct) useCache() {
	in.cached.Store(true)
	_ = unix.Fadvise(int(in.dest.f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// ReadAt implements [io.ReaderAt], for several goroutines. What is aligned to
// zeroAlign, in memory too, is read without a copy.
func (in *direct) ReadAt(b []byte, off int64) (done int, err error) {
	for done < len(b) && err == nil {
		var n int
		if in.cached.Load() {
			n, err = in.dest.f.ReadAt(b[done:], off+int64(done))
		} else if n, err = in.readPart(b[done:], off+int64(done)); errors.Is(err, unix.EINVAL) {
			in.useCache()
			err = nil
		}
		done += n
	}
	if done == len(b) {
		err = nil
	}
	return done, err
}

// readPart reads the beginning of b. An error behind a part that was read is left for
// the next call: an end that isn't aligned looks like one.
func (in *direct) readPart(b []byte, off int64) (int, error) {
	if whole := len(b) / zeroAlign * zeroAlign; whole > 0 && off%zeroAlign == 0 &&
		misaligned(b) == 0 {
		n, err := in.f.ReadAt(b[:whole], off)
		if n > 0 {
			err = nil
		}
		return n, err
	}
	buf := directBuffers.Get().(*[]byte)
	defer directBuffers.Put(buf)
	skip := off % zeroAlign
	want := min((skip+int64(len(b))+zeroAlign-1)/zeroAlign*zeroAlign, directSize)
	got, err := in.f.ReadAt((*buf)[:want], off-skip)
	n := copy(b, (*buf)[min(skip, int64(got)):got])
	if n > 0 {
		err = nil
	}
	return n, err
}

var directBuffers = sync.Pool{New: func() any {
	b := alignedBuffer(directSize)
	return &b
}}

// alignedBuffer makes a buffer of n bytes for direct reads.
func alignedBuffer(n int) []byte {
	b := make([]byte, n+zeroAlign)
	skip := -misaligned(b) & (zeroAlign - 1)
	return b[skip : skip+n : skip+n]
}

// misaligned tells by how many bytes the memory of b is past a multiple of zeroAlign.
func misaligned(b []byte) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (zeroAlign - 1))
}

func (in *direct) close() { in.f.Close() }
