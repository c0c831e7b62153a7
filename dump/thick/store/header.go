package store

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

const (
	headerBytes = 16
	sectorBytes = 512

	magic   = 0x70416e53 // "SnAp"
	version = 1

	// The kernel's bound on the chunk size (dm_exception_store_set_chunk_size), which makes 1 GiB
	// the largest.
	maxChunkSectors = math.MaxInt32 / sectorBytes
)

// header is the kernel's struct disk_header.
type header struct {
	magic        uint32 // offset 0
	valid        uint32 // offset 4: 1, or 0 once the store overflowed or a write to it failed
	version      uint32 // offset 8
	chunkSectors uint32 // offset 12: the size of a chunk
}

// readHeader reads the header at the start of a device of size bytes. It judges only what the
// caller can't do without; check does the rest.
func readHeader(r io.ReaderAt, size int64) (header, error) {
	if size < headerBytes {
		return header{}, fmt.Errorf("%w: %d bytes are too few for a header", ErrNotStore, size)
	}
	var b [headerBytes]byte
	if err := readFull(r, b[:], 0); err != nil {
		return header{}, fmt.Errorf("read exception store header at byte 0: %w", err)
	}
	return header{
		magic:        binary.LittleEndian.Uint32(b[0:]),
		valid:        binary.LittleEndian.Uint32(b[4:]),
		version:      binary.LittleEndian.Uint32(b[8:]),
		chunkSectors: binary.LittleEndian.Uint32(b[12:]),
	}, nil
}

// check judges the fields in the kernel's order: nothing but the magic means anything if that is
// wrong, and the rest can't be trusted under another version.
func (h header) check() error {
	switch {
	case h.magic == 0:
		return ErrUninitialised
	case h.magic != magic:
		return fmt.Errorf("%w: magic is 0x%08x, not 0x%08x", ErrNotStore, h.magic, uint32(magic))
	case h.version != version:
		return fmt.Errorf("exception store has version %d, only version %d is supported", h.version,
			version)
	case h.valid == 0:
		return ErrInvalid
	case h.valid != 1: // the kernel takes it for valid, but never writes it
		return corruptHeader("valid is %d, neither 0 nor 1", h.valid)
	case h.chunkSectors == 0 || h.chunkSectors&(h.chunkSectors-1) != 0:
		return corruptHeader("chunk size of %d sectors is not a power of two", h.chunkSectors)
	case h.chunkSectors > maxChunkSectors:
		return corruptHeader("chunk size of %d sectors is above the kernel's limit of %d",
			h.chunkSectors, maxChunkSectors)
	}
	return nil
}

func (h header) chunkBytes() int64 { return int64(h.chunkSectors) * sectorBytes }

// readFull fills p from offset off. An end of file before that is an error like any other: the
// device has a known size.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
