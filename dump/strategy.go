package dump

import "lvmsync/format"

// A strategy decides what of a source's extents is sent: all, or what differs from the base. Of one
// batch, only reads are done by several goroutines at once.
type strategy interface {
	// willNeed tells that n bytes from off on will be read soon.
	willNeed(off, n int64)
	// take plans the first part of an extent, in a batch that isn't full, and returns the rest.
	take(b *batch, e format.Extent) (rest format.Extent, err error)
	full(b *batch) bool
	// prepare is for what the reads of a batch, which are planned, leave.
	prepare(b *batch)
	read(r read) error
	// finish leaves in the batch's segment what is sent. All of it has been read.
	finish(b *batch)
	// joins tells whether finish may leave so little that several segments are sent as one.
	joins() bool
}

// newStrategy chooses: exact means that the destination holds the base bit by bit.
func newStrategy(src Source, exact bool, blockSize int64) (strategy, error) {
	switch {
	case !exact:
		return &whole{src.Data, src.losses}, nil
	case src.Sums == nil && src.Base == nil:
		return nil, ErrNoBase
	}
	return newDiffering(src, blockSize), nil
}
