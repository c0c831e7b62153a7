package dump

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"

	"lvmsync/format"
)

// readers is how many reads are in flight.
const readers = 16

// A pipeline has three stages: plan cuts the extents into batches, readers fill
// them, and send hands them to the writer in order. The first error of any stage
// cancels the context. From then on all that is on its way is dropped, but still
// passed on, so that no stage waits for another.
type pipeline struct {
	src       Source
	base      Base           // compared with, if not nil
	blockSize int64          // unit of that, in bytes
	compare   *sumComparison // compared with, if not nil
	w         *format.Writer
	progress  func(int64)
	fail      context.CancelCauseFunc
	filling   *batch      // in plan; may be nil
	batches   chan *batch // in order, from plan to send
	reads     chan read   // from plan to the readers
}

func newPipeline(src Source, w *format.Writer, o Options) *pipeline {
	p := &pipeline{
		src:       src,
		blockSize: cmp.Or(o.BlockSize, format.RefineSize),
		compare:   compareSums(sumsOf(src), src.Header().VolumeSize),
		w:         w,
		progress:  o.Progress,
		batches:   make(chan *batch, 64), // the writer's pool is what bounds them
		reads:     make(chan read, readers),
	}
	if o.ExactBase {
		p.base = src.Base()
	}
	if p.progress == nil {
		p.progress = func(int64) {}
	}
	return p
}

// run returns when everything has been handed to the writer or something failed.
func (p *pipeline) run(ctx context.Context) error {
	ctx, p.fail = context.WithCancelCause(ctx)
	defer p.fail(nil)
	var stages sync.WaitGroup
	for range readers {
		stages.Go(func() { p.read(ctx) })
	}
	stages.Go(func() { p.send(ctx) })
	if err := p.plan(ctx); err != nil {
		p.fail(err)
	}
	close(p.batches)
	close(p.reads)
	stages.Wait()
	return context.Cause(ctx)
}

// plan cuts the source's extents into batches and orders their reads.
func (p *pipeline) plan(ctx context.Context) error {
	for e, err := range p.src.Extents() {
		if err != nil {
			return err
		}
		if e.Len <= 0 {
			return fmt.Errorf("the source has a %v", e)
		}
		if p.compare != nil && e.Kind == format.Zero {
			err = p.planHole(ctx, e)
		} else {
			err = p.planExtent(ctx, e)
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil // run knows why
		}
	}
	p.dispatch()
	return nil
}

func (p *pipeline) planExtent(ctx context.Context, e format.Extent) error {
	if p.base != nil {
		e.Kind = format.Data // to be compared like everything else
	}
	for e.Len > 0 && ctx.Err() == nil {
		b := p.fill()
		part := e
		if p.base != nil && e.Off < p.base.Size() {
			part.Len = min(e.Len, p.base.Size()-e.Off) // what lies beyond has no base
		}
		rest := b.take(part)
		part.Len -= rest.Len
		if p.compare != nil {
			if err := p.compare.take(b, part); err != nil {
				return err
			}
		}
		e.Off, e.Len = part.End(), e.End()-part.End()
		if b.full() {
			p.dispatch()
		}
	}
	return nil
}

// fill is the batch that is being filled.
func (p *pipeline) fill() *batch {
	if p.filling == nil {
		p.filling = &batch{seg: p.w.NewSegment(), ready: make(chan struct{})}
		if p.base != nil {
			p.filling.base = basePool.Get().(*[]byte)
		}
	}
	return p.filling
}

// dispatch sends the batch that is being filled on its way.
func (p *pipeline) dispatch() {
	b := p.filling
	if b == nil {
		return
	}
	p.filling = nil
	reads := b.reads()
	b.pending.Store(int32(len(reads)))
	p.batches <- b
	if len(reads) == 0 {
		close(b.ready)
	}
	for _, r := range reads {
		p.reads <- r
	}
}

// read is a reader: it does reads until there are no more. The one that does
// the last of a batch also looks for zeros in it, and compares with the base.
func (p *pipeline) read(ctx context.Context) {
	for r := range p.reads {
		if ctx.Err() == nil {
			if err := p.readRecords(r); err != nil {
				p.fail(err)
			}
		}
		if r.pending.Add(-1) == 0 {
			r.refine(p)
			close(r.ready)
		}
	}
}

func (p *pipeline) readRecords(r read) error {
	for _, x := range r.records {
		n, err := p.src.ReadAt(r.data[:x.Len], x.Off)
		if int64(n) < x.Len || err != nil && err != io.EOF {
			return readError(x.Extent, err)
		}
		r.data = r.data[x.Len:]
		if r.base == nil {
			continue
		}
		if x.Off < p.base.Size() {
			n, err = p.base.ReadAt(r.base[:x.Len], x.Off)
			if int64(n) < x.Len {
				return fmt.Errorf("compare with the base: %w", readError(x.Extent, err))
			}
		}
		r.base = r.base[x.Len:]
	}
	return nil
}

// send hands the batches to the writer.
func (p *pipeline) send(ctx context.Context) {
	done := int64(0)
	for b := range p.batches {
		<-b.ready
		if ctx.Err() != nil {
			b.seg.Release()
			continue
		}
		done += b.bytes
		if len(b.seg.Records) == 0 { // all of it equals the base
			b.seg.Release()
			p.progress(done)
			continue
		}
		if err := p.w.Write(b.seg); err != nil {
			p.fail(err)
			continue
		}
		p.progress(done)
	}
}
