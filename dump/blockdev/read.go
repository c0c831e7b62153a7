package blockdev

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"lvmsync/format/durable"
	"lvmsync/format/storage/kernel"
)

// ReadAt implements [io.ReaderAt] for any offset and length. It returns io.EOF only at Size; a
// device or file that ends before that is an error ([io.ErrUnexpectedEOF]), and so is a device that
// was replaced by a smaller one. Errors name the device and the offset at which reading failed.
//
// Reads of a device whose offset, length and memory are multiples of LogicalBlockSize (see
// [AlignedBuffer]) go straight into p; of others the aligned part does, if p's memory is aligned,
// and the rest is copied.
func (b *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s at byte %d: negative offset", b.name, off)
	}
	if off >= b.size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), b.size-off))
	n, err := b.readFull(p[:want], off)
	if err != nil {
		return n, fmt.Errorf("read %s at byte %d: %w", b.name, off+int64(n), err)
	}
	if want < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readFull fills p, all of which lies inside the file.
func (b *File) readFull(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		var m int
		if b.id.Device {
			m, err = b.readDirect(p[n:], off+int64(n))
		} else {
			m, err = b.pread(p[n:], off+int64(n))
		}
		n += m
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.ErrUnexpectedEOF
		}
	}
	return n, nil
}

// readDirect reads at least one byte from the beginning of p's range, and 0 only at the end of the
// device.
func (b *File) readDirect(p []byte, off int64) (int, error) {
	aligned := off%int64(b.align) == 0 && len(p) >= b.align && misalignment(p, b.align) == 0
	if aligned {
		return b.pread(p[:len(p)-len(p)%b.align], off)
	}
	return b.readBounced(p, off)
}

// readBounced reads the aligned range around p's, or its beginning, into an aligned buffer and
// copies what is wanted.
func (b *File) readBounced(p []byte, off int64) (int, error) {
	buf := bouncePool.Get().(*[]byte)
	defer bouncePool.Put(buf)
	skip := int(off % int64(b.align))
	want := min(len(p), bounceSize-skip) + skip
	want += -want & (b.align - 1) // round up: at most bounceSize, itself a multiple
	n, err := b.pread((*buf)[:want], off-int64(skip))
	if err != nil || n <= skip {
		return 0, err
	}
	return copy(p, (*buf)[skip:n]), nil
}

// pread reads what can be read from the beginning of p's range. What comes behind a part that was
// read, an error or the end, is for the next call to find.
func (b *File) pread(p []byte, off int64) (int, error) {
	n, err := b.f.ReadAt(p, off)
	if n > 0 || err == io.EOF {
		return n, nil
	}
	return 0, durable.Cause(err)
}

// WillNeed tells the kernel that a part of an image file will be read soon: reads in any order are
// as fast then as in ascending order. It does nothing for a device, which is read past the page
// cache.
func (b *File) WillNeed(off, n int64) {
	if b.id.Device {
		return
	}
	// Advice only. On what is in the cache already it costs as much as reading it.
	_ = kernel.Control(b.f, func(fd int) error {
		if cached(fd, off, n) {
			return nil
		}
		return unix.Fadvise(fd, off, n, unix.FADV_WILLNEED)
	})
}

// cached tells whether all of a range is in the page cache, as far as the kernel (from 6.5 on)
// says.
func cached(fd int, off, n int64) bool {
	var in unix.Cachestat_t
	pages := (off+n+pageSize-1)/pageSize - off/pageSize
	err := unix.Cachestat(uint(fd), &unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, &in, 0)
	return err == nil && in.Cache == uint64(pages)
}

// pageSize is the size in bytes of what cachestat counts.
var pageSize = int64(unix.Getpagesize())
