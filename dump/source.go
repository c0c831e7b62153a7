package dump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"lvmsync/format"
)

// A Source says what a patch is to hold and where that is read. It is a value: what is to be dumped
// otherwise, as by [StartAt], is another one, with all that is not said to differ. Whoever makes
// one sets every field but those that may be nil.
type Source struct {
	// Header describes the patch: kind, source, volume size, granularity, base,
	// and what is planned. Run fills in the rest. Source.Uptime is when the dump
	// began: before anything was listed; 0 if that is now.
	Header format.Header
	// Extents yields the extents in ascending order, none touching the next of
	// its kind. The first error ends it. It may be gone through several times.
	Extents iter.Seq2[format.Extent, error]
	// Data is what the volume holds.
	Data Reader
	// SectorSize is how much of the data can be read by itself, in bytes: 512 at least.
	SectorSize int
	// Base is what the volume held before the changes of a delta; nil if it can't be read.
	Base Base
	// Sums are what is known of a base that can't be read here; nil: nothing. With them the
	// extents begin and end on blocks, and are the whole volume.
	Sums Sums
	// Unchanged reads what lies outside the extents of a delta, best from
	// something that stands still; nil for a full patch, and if the header has
	// the fingerprint already.
	Unchanged io.ReaderAt
	// Inputs are the devices and files that are read. They have been flushed.
	Inputs Inputs
	// Check is called when the last data has been read. An error means that
	// list or data turned out not to be what they should, and that the patch
	// must not be finished.
	Check func(ctx context.Context) error
	// Close releases what is open for this source and those made of it. Nothing is read
	// afterwards.
	Close func() error

	losses *losses // what of the data could not be read; nil: such an error ends the run
}

// A Reader reads a volume. It is called from several goroutines.
type Reader interface {
	io.ReaderAt
	// WillNeed tells that n bytes from off on will be read soon. That may make it faster.
	WillNeed(off, n int64)
}

// A Base is what the volume held before the changes. It may be shorter than the volume, which has
// grown then. Reading it may give an [UnknownError] behind what has been read.
type Base interface {
	Reader
	Size() int64 // in bytes
}

// Sums are the hashes of a base that can't be read here, as xxh64 with a seed.
type Sums interface {
	// BlockSize is how much each sum is of, in bytes: a power of two.
	BlockSize() int64
	// Size is the size of the base in bytes. Of a last block that is not whole
	// the sum is of what there is.
	Size() int64
	// Seed is that of the sums, and of the base hashes in the patch.
	Seed() uint64
	// Sum returns the sum of the block that begins at off. From one call to the
	// next, off must increase.
	Sum(off int64) (BlockSum, error)
}

// A BlockSum is the hash of a block.
type BlockSum struct {
	Hash uint64 // means nothing if Zero is set
	Zero bool   // the block is all zeros
}

// complete makes sure that nothing was forgotten without which a patch could be wrong.
func (s *Source) complete() error {
	switch {
	case s.Extents == nil || s.Data == nil || s.Check == nil || s.Close == nil:
		return errors.New("internal error: a source without extents, data, check or close, " +
			"expected all of them")
	case s.SectorSize < format.SectorSize:
		return fmt.Errorf("internal error: a source with sectors of %d bytes, expected %d at least",
			s.SectorSize, format.SectorSize)
	}
	return nil
}

// Shared is how much of the volume, in bytes, there is in the base, too. Where a smaller one ends
// within a sector, that sector is new, for an extent must not end there.
func (s *Source) Shared() int64 {
	size := s.Header.VolumeSize
	switch {
	case s.Sums != nil && s.Sums.Size() != size: // of a part of a block no sum tells
		return min(s.Sums.Size(), size) / s.Sums.BlockSize() * s.Sums.BlockSize()
	case s.Sums != nil || s.Base.Size() >= size:
		return size
	}
	return s.Base.Size() / format.SectorSize * format.SectorSize
}
