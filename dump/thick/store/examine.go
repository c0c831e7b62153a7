package store

import (
	"context"
	"io"
	"math"
)

// Use is what a store tells of itself, also one that the kernel has given up, whose list is of no
// use.
type Use struct {
	// Valid is false if the store itself says that its list is incomplete.
	Valid bool
	// FreeChunks is how many more exceptions there is room for after those in the list.
	FreeChunks int64
}

// Examine reads header and list of the store on r, size bytes long. The errors are those of [Open],
// but for [ErrInvalid], and of [Store.Exceptions].
func Examine(ctx context.Context, r io.ReaderAt, size int64) (Use, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return Use{}, err
	}
	use := Use{Valid: h.valid != 0}
	h.valid = 1
	if err := h.check(); err != nil {
		return use, err
	}
	s := &Store{r: r, size: size, header: h, layout: newLayout(size, h.chunkBytes())}
	old, err := s.Exceptions(ctx, math.MaxInt64, 0)
	if err != nil {
		return use, err
	}
	l, n := s.layout, int64(old.GetCardinality())
	// The header, the areas up to the one with room for an entry, and a chunk for each entry.
	use.FreeChunks = max(l.chunks-1-(n/l.areaEntries+1)-n, 0)
	return use, nil
}
