package format

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"lvmsync/format/internal/frame"
)

// MaxLevel is the highest compression level.
const MaxLevel = 19

// WriterOptions tune a [Writer]; the zero value stores without compressing, on
// all cores.
type WriterOptions struct {
	// Level is 0 to store without compressing, or 1 (fastest) to 19 as the zstd
	// program counts them. The library knows four classes: 1-2, 3-5, 6-9, 10-19.
	Level int
	// Concurrency is how many segments are compressed at a time, 0 for one a core.
	Concurrency int
	// BeforeTrailer, if set, is called by Close when all but the trailer has been
	// written, to make that durable: the trailer vouches for it. After an error no
	// trailer is written.
	BeforeTrailer func() error
}

// A Writer writes one patch: the header at once, then segments in ascending
// order, then [Writer.Close] for index and trailer. Segments are hashed and
// compressed concurrently and written in order by one goroutine.
//
// The first error sticks: every later call returns it and no trailer is ever
// written, so that a torn patch never looks whole. The methods are for one
// goroutine, but for [Writer.NewSegment], [Segment.Release], and [Writer.Flush] before
// Close or Abort.
type Writer struct {
	header Header
	order  extentOrder
	totals Totals
	closed bool

	beforeTrailer func() error // may be nil

	pool  *Pool
	jobs  chan *body  // to be compressed, by any worker
	queue chan queued // the same, in order, to be written
	done  sync.WaitGroup
	out   output
	enc   *zstd.Encoder // nil: store

	mu  sync.Mutex
	err error // the first one
}

// queued is what waits to be written.
type queued struct {
	*body                 // nil: a Flush, which has nothing to write
	written chan struct{} // of a Flush: closed when all before it is written
}

// encoderWindow is how far back, in bytes, matches are looked for. Segments from
// the dump are no larger, and the encoders hold twice as much each.
const encoderWindow = 1 << 20

// NewWriter writes the header to w and returns a Writer for the rest, which
// needs Close or Abort. The caller still owns w.
func NewWriter(w io.Writer, h Header, o WriterOptions) (*Writer, error) {
	if o.Level < 0 || o.Level > MaxLevel {
		return nil, fmt.Errorf("compression level %d is not within 0 to %d", o.Level, MaxLevel)
	}
	b, err := marshalHeader(&h)
	if err != nil {
		return nil, err
	}
	workers := concurrency(o.Concurrency)
	pw := &Writer{
		header: h,
		order:  newExtentOrder(&h),
		pool:   newPool(workers + 2),
		jobs:   make(chan *body, workers),
		queue:  make(chan queued, 2*workers),
		out:    output{w: w, sum: xxhash.New()},

		beforeTrailer: o.BeforeTrailer,
	}
	if o.Level > 0 {
		pw.enc, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(workers),
			zstd.WithEncoderCRC(true),
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(o.Level)), zstd.WithWindowSize(
				encoderWindow),
			zstd.WithSingleSegment(true)) // else small frames do not state their content size
		if err != nil {
			return nil, fmt.Errorf("start zstd: %w", err)
		}
	}
	if err := pw.out.write(b); err != nil {
		return nil, err
	}
	for range workers {
		pw.done.Go(pw.compress)
	}
	pw.done.Go(pw.writeFrames)
	return pw, nil
}

func concurrency(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// NewSegment returns an empty segment to fill. It waits while all segments of
// the pool are in use, which bounds the memory.
func (w *Writer) NewSegment() *Segment {
	<-w.pool.free
	b := w.pool.take()
	if b == nil {
		b = newWriteBody()
	}
	b.records, b.data = b.records[:0], b.buf[dataStart:dataStart]
	return w.pool.lend(b)
}

// Write hands over a segment from [Writer.NewSegment], filled with extents and
// their data, which it has no more afterwards. The extents must follow those
// written before. Success means that the segment is on its way; an error in
// compressing or writing it comes from a later call.
func (w *Writer) Write(s *Segment) error {
	err := w.check(s)
	if err != nil {
		w.fail(err)
		s.Release()
		return err
	}
	b := s.take() // now it's ours
	w.totals.Add(b.records)
	w.queue <- queued{body: b}
	w.jobs <- b
	return nil
}

func (w *Writer) check(s *Segment) error {
	if err := w.firstError(); err != nil {
		return err
	}
	if w.closed {
		return ErrState
	}
	if s.body == nil {
		return errors.New("write a patch: segment is not from NewSegment, or has been handed over")
	}
	if err := checkCounts(s.Records, s.Data); err != nil {
		return fmt.Errorf("write a patch: %w", err)
	}
	if s.pool != w.pool || len(s.Data) > 0 && &s.Data[0] != &s.body.buf[dataStart] {
		return errors.New("write a patch: segment or its data are not from NewSegment")
	}
	for _, r := range s.Records {
		err := r.checkLost()
		if err == nil {
			err = w.order.addRecord(r)
		}
		if err != nil {
			return fmt.Errorf("write a patch: %w", err)
		}
	}
	return nil
}

// compress is a worker: it makes frames of segments.
func (w *Writer) compress() {
	for b := range w.jobs {
		if w.firstError() == nil {
			content := b.marshal()
			if w.enc == nil || incompressible(b.data) {
				b.frame = frame.AppendStored(b.frameBuffer(frame.StoredSize(len(content))), content)
			} else {
				b.frame = w.enc.EncodeAll(content,
					b.frameBuffer(w.enc.MaxEncodedSize(len(content))))
			}
		}
		b.ready <- struct{}{}
	}
}

// writeFrames writes the frames in the order of their segments.
func (w *Writer) writeFrames() {
	for q := range w.queue {
		b := q.body
		if b == nil {
			close(q.written)
			continue
		}
		<-b.ready
		if w.firstError() == nil {
			if err := w.out.writeSegment(b); err != nil {
				w.fail(err)
				w.pool.forget() // an io.Writer that was interrupted may still read from it
				continue
			}
		}
		w.pool.put(b)
	}
}

// Flush waits until all segments handed over have been written to the io.Writer,
// and returns the first error so far. What was written then is complete up to
// the last of them, and can be read to there.
func (w *Writer) Flush() error {
	if w.closed {
		return cmp.Or(w.firstError(), ErrState)
	}
	written := make(chan struct{})
	w.queue <- queued{written: written}
	<-written
	return w.firstError()
}

// Close waits until all segments are written, then writes index and trailer. It
// does not close the io.Writer. After an error it writes nothing and returns
// that error. A second Close returns ErrState.
func (w *Writer) Close() error {
	if w.closed {
		return ErrState
	}
	w.stop()
	if err := w.firstError(); err != nil {
		return err
	}
	err := w.totals.check(&w.header)
	if err != nil {
		err = fmt.Errorf("write a patch: %w", err)
	} else {
		err = w.out.finish(w.totals, w.beforeTrailer)
	}
	w.fail(err)
	return err
}

// Abort ends the Writer without index and trailer: what was written so far is a
// truncated patch. It does nothing after Close.
func (w *Writer) Abort() {
	if !w.closed {
		w.fail(ErrState)
		w.stop()
	}
}

func (w *Writer) stop() {
	w.closed = true
	close(w.jobs)
	close(w.queue)
	w.done.Wait()
	if w.enc != nil {
		w.enc.Close()
	}
}

// Totals counts what has been handed over so far.
func (w *Writer) Totals() Totals { return w.totals }

// PatchBytes is the size of the finished patch in bytes. Call it after Close.
func (w *Writer) PatchBytes() int64 { return w.out.offset }

func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *Writer) firstError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
