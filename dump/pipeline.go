package dump

import (
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
	src      Source
	base     Base // compared with, if not nil
	w        *format.Writer
	progress func(int64)
	fail     context.CancelCauseFunc
	batches  chan *batch // in order, from plan to send
	reads    chan read   // from plan to the readers
}

func newPipeline(src Source, base Base, w *format.Writer, progress func(int64)) *pipeline {
	if progress == nil {
		progress = func(int64) {}
	}
	return &pipeline{
		src:      src,
		base:     base,
		w:        w,
		progress: progress,
		batches:  make(chan *batch, 64), // the writer's pool is what bounds them
		reads:    make(chan read, readers),
	}
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
	var b *batch
	for e, err := range p.src.Extents() {
		if err != nil {
			return err
		}
		if e.Len <= 0 {
			return fmt.Errorf("the source has a %v", e)
		}
		if p.base != nil {
			e.Kind = format.Data // to be compared like everything else
		}
		for e.Len > 0 {
			if ctx.Err() != nil {
				return nil // run knows why
			}
			if b == nil {
				b = p.newBatch()
			}
			part := e
			if p.base != nil && e.Off < p.base.Size() {
				part.Len = min(e.Len, p.base.Size()-e.Off) // what lies beyond has no base
			}
			rest := b.take(part)
			e.Off, e.Len = rest.Off, e.End()-rest.Off
			if b.full() {
				p.dispatch(b)
				b = nil
			}
		}
	}
	if b != nil {
		p.dispatch(b)
	}
	return nil
}

func (p *pipeline) newBatch() *batch {
	b := &batch{seg: p.w.NewSegment(), ready: make(chan struct{})}
	if p.base != nil {
		b.base = basePool.Get().(*[]byte)
	}
	return b
}

// dispatch sends the batch on its way.
func (p *pipeline) dispatch(b *batch) {
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
			r.refine(p.base)
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
