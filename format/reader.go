package format

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format/internal/frame"
)

// ReaderOptions tune a [Reader]; the zero value is good.
type ReaderOptions struct {
	// Concurrency is how many segments are decompressed at a time, 0 for one a core.
	Concurrency int
	// Held is how many segments the caller keeps besides the last one.
	Held int
	// FrameSums has the frames of segments summed up, see [Segment].
	FrameSums bool
}

// A Reader reads one patch from a stream, which the caller still owns. Segments are
// decompressed and checked concurrently and returned in order. The methods are for one
// goroutine, but for [Segment.Release]. An error ends the reading and is returned ever
// after; what was returned before it stays right, but may be part of a patch only.
type Reader struct {
	header Header
	queue  chan fetched // in order, the last one has err set
	pool   *Pool
	quit   chan struct{}
	close  sync.Once

	order   extentOrder
	totals  Totals
	size    int64          // of the patch, once it has been read
	entries *xxhash.Digest // of the index as it should be
	entry   []byte         // where one of them is made
	err     error          // sticky
}

// fetched is the body of a segment on its way, which is ready once it has been decompressed and
// checked, or the end of the patch.
type fetched struct {
	*body
	err error     // why there is no segment; io.EOF: the patch ends rightly
	end *patchEnd // with io.EOF
}

// patchEnd is what index and trailer say.
type patchEnd struct {
	trailer
	offset  int64          // of the trailer
	entries *xxhash.Digest // of the index's entries
	entry   []byte         // where one of them is made
}

func (e *patchEnd) add(entry IndexEntry) error {
	e.entry = appendIndexEntry(e.entry[:0], entry)
	e.entries.Write(e.entry)
	return nil
}

// NewReader reads and checks the header. The errors are those of [ErrNotPatch],
// [ErrVersion], [ErrFeature], [ErrCorrupt], [ErrTruncated], or the input's own.
// Close must be called at the end.
func NewReader(r io.Reader, o ReaderOptions) (*Reader, error) {
	in := bufio.NewReaderSize(frame.Input(r), 256<<10)
	h, b, err := readHeader(in, nil)
	if err != nil {
		return nil, err
	}
	pr := &Reader{
		header:  *h,
		quit:    make(chan struct{}),
		order:   newExtentOrder(h),
		entries: xxhash.New(),
	}
	workers := concurrency(o.Concurrency)
	pr.queue = make(chan fetched, workers)
	dec, err := frame.NewDecoder(workers)
	if err != nil {
		return nil, err
	}
	// Those of the caller, one in each worker, and the next.
	pr.pool = newPool(max(o.Held, 0) + 1 + workers + 1)
	f := &fetcher{in: in, onDevice: frame.IsOnDevice(r), offset: int64(len(b)), sum: xxhash.New(),
		queue: pr.queue, quit: pr.quit, dec: dec, pool: pr.pool, sums: o.FrameSums}
	f.sum.Write(b)
	f.start(workers)
	return pr, nil
}

// Header is the patch's header. It is the patch's word: names in it may be
// anything.
func (r *Reader) Header() Header { return r.header }

// Next returns the next segment. The data has been checked against its hashes,
// the extents against the volume's size and those before.
//
// Release the segment when done with it. At most as many as
// [ReaderOptions].Held may be held besides: Next waits for more.
//
// io.EOF comes after a whole patch, with index and trailer checked and nothing
// behind it but zeros, or anything with [OnDevice]; a patch that ends early gives
// ErrTruncated.
func (r *Reader) Next() (*Segment, error) {
	if r.err != nil {
		return nil, r.err
	}
	f := <-r.queue
	switch f.err {
	case nil:
		<-f.ready
		if r.err = f.body.err; r.err == nil {
			r.err = r.accept(f.body)
		}
	case io.EOF:
		r.err = r.checkEnd(f.end)
	default:
		r.err = f.err
	}
	if r.err != nil {
		r.forget()
		return nil, r.err
	}
	return r.pool.lend(f.body), nil
}

// forget lets go of the memory for segments, which may be large, for who asks for totals later.
func (r *Reader) forget() { r.pool, r.queue = nil, nil }

// accept checks what only the order of segments can tell.
func (r *Reader) accept(b *body) error {
	for _, x := range b.records {
		if err := r.order.addRecord(x); err != nil {
			return corrupt("segment", b.offset, "%w", err)
		}
	}
	r.totals.Add(b.records)
	e := IndexEntry{Offset: b.offset, Start: b.records[0].Off, End: r.order.end}
	r.entry = appendIndexEntry(r.entry[:0], e)
	r.entries.Write(r.entry)
	return nil
}

// checkEnd compares index and trailer with what was read. If all is right it
// returns io.EOF.
func (r *Reader) checkEnd(end *patchEnd) error {
	if end.entries.Sum64() != r.entries.Sum64() {
		return corrupt("index", end.index, "it does not match the segments")
	}
	if end.Totals != r.totals {
		return corrupt("trailer", end.offset, "its totals do not match the segments")
	}
	if err := r.totals.check(&r.header); err != nil {
		return corrupt("trailer", end.offset, "%w", err)
	}
	r.size = end.offset + frame.PatchEndSize
	return io.EOF
}

// Size is how long the patch is, in bytes, once Next has returned io.EOF.
func (r *Reader) Size() int64 { return r.size }

// Totals counts what Next has returned so far.
func (r *Reader) Totals() Totals { return r.totals }

// Close stops the reading. It doesn't close the io.Reader, nor wait for a Read
// of it that is under way. It may be called more than once.
func (r *Reader) Close() {
	r.close.Do(func() { close(r.quit) })
	if r.err == nil {
		r.err = errors.New("patch reader is closed")
		r.forget()
	}
}

// Verify reads a patch to its end and checks everything in it.
func Verify(r io.Reader) (Header, Totals, error) {
	pr, err := NewReader(r, ReaderOptions{})
	if err != nil {
		return Header{}, Totals{}, err
	}
	defer pr.Close()
	for {
		s, err := pr.Next()
		if err == io.EOF {
			return pr.header, pr.totals, nil
		}
		if err != nil {
			return Header{}, Totals{}, err
		}
		s.Release()
	}
}
