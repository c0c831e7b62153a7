package apply

import (
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readsDirect tells whether direct reads of an open file go past the page cache. Where
// they can't, file systems open it for them all the same, and read through the cache:
// ext4 a file whose data it journals, for instance. It gives false in known if the
// kernel (before 6.1) or the file system doesn't say.
func readsDirect(f *os.File) (direct, known bool) {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err != nil || st.Mask&unix.STATX_DIOALIGN == 0 {
		return false, false
	}
	return st.Dio_mem_align > 0, true
}

// emptyCache drops what the page cache holds of n bytes of a file from off on, all of
// which has been flushed, and tells whether it's gone.
func emptyCache(f *os.File, off, n int64) bool {
	fd := int(f.Fd())
	_ = unix.Fadvise(fd, off, n, unix.FADV_DONTNEED)
	if isEmpty, known := cacheIsEmpty(f, off, n); isEmpty || !known {
		return isEmpty
	}
	// What a file system has in its journal it keeps until it has written it.
	_ = unix.Syncfs(fd)
	_ = unix.Fadvise(fd, off, n, unix.FADV_DONTNEED)
	isEmpty, _ := cacheIsEmpty(f, off, n)
	return isEmpty
}

// cacheIsEmpty tells whether nothing of a part of a file is in the page cache, and
// whether anybody knows.
func cacheIsEmpty(f *os.File, off, n int64) (isEmpty, known bool) {
	fd := int(f.Fd())
	var fs unix.Statfs_t
	// The pages of overlayfs are those of another file, of which mincore alone tells.
	if err := unix.Fstatfs(fd, &fs); err == nil && fs.Type != unix.OVERLAYFS_SUPER_MAGIC {
		var in unix.Cachestat_t
		if unix.Cachestat(uint(fd), &unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, &in,
			0) == nil {
			return in.Cache == 0, true
		}
	}
	return mincoreIsEmpty(fd, off, n)
}

// mincoreSize is how much of a file mincore looks at in one go, in bytes.
const mincoreSize = 256 << 20

// mincoreIsEmpty is cacheIsEmpty where there is no cachestat, as before Linux 6.5.
func mincoreIsEmpty(fd int, off, n int64) (isEmpty, known bool) {
	end := off + n
	pages := make([]byte, mincoreSize/os.Getpagesize())
	for off -= off % mincoreSize; off < end; off += mincoreSize {
		size := int(min(mincoreSize, end-off))
		b, err := unix.Mmap(fd, off, size, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return false, false
		}
		clear(pages)
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(b))),
			uintptr(size), uintptr(unsafe.Pointer(unsafe.SliceData(pages))))
		_ = unix.Munmap(b) // it is mapped: this can't fail
		if errno != 0 {
			return false, false
		}
		if slices.ContainsFunc(pages, func(p byte) bool { return p&1 != 0 }) {
			return false, true
		}
	}
	return true, true
}
