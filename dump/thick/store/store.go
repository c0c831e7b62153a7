// Package store reads the list of changed chunks out of a thick snapshot's persistent exception
// store: the COW device of device-mapper's snapshot target. It works on bytes behind an
// [io.ReaderAt] and knows nothing of LVM, dmsetup or patches.
//
// The layout is that of struct disk_header and struct disk_exception in the kernel's
// drivers/md/dm-snap-persistent.c; every integer is little-endian, every place a multiple of the
// chunk size, which the header gives:
//
//	chunk 0               header: u32 magic, u32 valid, u32 version, u32 chunk size in sectors
//	chunk 1 + i*(E+1)     area i: E = chunk bytes / 16 entries of u64 old chunk, u64 new chunk
//	the E chunks after    the old content of the chunks which area i lists, each at its new chunk
//
// The first entry whose new chunk is 0 ends the list (old chunk 0 is legal); a full area is
// followed by the next one.
//
// # Stores that are being written
//
// The kernel zeroes area i+1 before it writes the last entry of area i, and what is on disk beyond
// that is old content: it may look like perfectly good areas of an earlier snapshot. So an area may
// be believed only if it had been zeroed before its read started: because area 0 is zeroed when the
// snapshot is made, because the area before was seen full first, or because the caller knows so
// (see [Store.Exceptions]). Such a reader finds every exception that was committed before it began;
// of those committed meanwhile it may or may not find some.
package store

import "io"

// Store is an exception store whose header has been read and checked. Its methods may be used
// concurrently if the ReaderAt it was opened with allows it.
type Store struct {
	r      io.ReaderAt
	size   int64 // of the device, bytes
	header header
	layout layout
}

// Open reads and checks the header of the exception store on r, a COW device or a copy of one, size
// bytes long.
//
// The errors are [ErrNotStore], [ErrUninitialised], [ErrInvalid], [ErrCorrupt] as a
// [*CorruptError], or none of these for a version it doesn't know and for a failed read. The caller
// keeps r, and closes it after the last use of the Store.
//
// The size is taken as it is now: an exception that the kernel puts beyond it, in a store extended
// after Open, is reported as corruption. Open it again then.
func Open(r io.ReaderAt, size int64) (*Store, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	l := newLayout(size, h.chunkBytes())
	if l.areas == 0 {
		return nil, corruptHeader("a device of %d bytes has no room for an area with "+
			"chunks of %d bytes", size, l.chunkBytes)
	}
	return &Store{r: r, size: size, header: h, layout: l}, nil
}

// ChunkSize returns the unit in which the snapshot tracks changes, in bytes: a power of two from
// 512 bytes to 1 GiB.
func (s *Store) ChunkSize() int64 { return s.layout.chunkBytes }

// CheckValid reads the header again and reports whether the list is still complete. It returns
// [ErrInvalid] if the kernel has marked the store invalid since Open, and a [*CorruptError] if the
// header changed in any other way.
func (s *Store) CheckValid() error {
	now, err := readHeader(s.r, s.size)
	if err != nil {
		return err
	}
	before := s.header
	before.valid = now.valid
	if now != before {
		return corruptHeader("changed since it was first read")
	}
	return now.check()
}
