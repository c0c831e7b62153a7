package apply

import (
	"context"

	"lvmsync/format"
)

// A fetcher gets segments, and what the destination holds in their data extents.
type fetcher struct {
	segments segments
	dest     *destination
	always   bool // it matters what is there
	toCheck  bool // it does where a segment tells of its base

	buf [2][]byte // of two segments one is in use
}

// A fetched is a segment and what the destination holds in its data extents, which a
// goroutine reads while the segment before is dealt with.
type fetched struct {
	segment *format.Segment
	err     error  // why there is no segment
	there   []byte // once reading is done; nil: it doesn't matter
	reading outcome
}

// next gets the next segment. What was read for the one before the last is gone then.
func (f *fetcher) next(ctx context.Context) *fetched {
	s, err := f.segments.Next()
	n := &fetched{segment: s, err: err}
	if err != nil || !f.always && !(f.toCheck && hasBase(s)) {
		return n
	}
	f.buf[0], f.buf[1] = f.buf[1], f.buf[0]
	if f.buf[0] == nil || len(f.buf[0]) < len(s.Data) { // nil would say that it doesn't matter
		const step = 1 << 20 // the next one may be a little larger
		f.buf[0] = alignedBuffer(max(1, (len(s.Data)+step-1)/step) * step)
	}
	n.there = f.buf[0][:len(s.Data)]
	n.reading = begin(func() error { return f.dest.readData(ctx, s, n.there) })
	return n
}
