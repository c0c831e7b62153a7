package dump

import (
	"context"
	"fmt"
	"io"
	"iter"
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
	extents  iter.Seq2[format.Extent, error]
	strategy strategy
	used     sync.Pool // of batches
	w        *format.Writer
	progress func(int64)
	fail     context.CancelCauseFunc
	filling  *batch      // in plan; may be nil
	batches  chan *batch // in order, from plan to send
	reads    chan read   // from plan to the readers
}

func newPipeline(extents iter.Seq2[format.Extent, error], s strategy, w *format.Writer,
	progress func(int64)) *pipeline {
	if progress == nil {
		progress = func(int64) {}
	}
	p := &pipeline{
		extents:  extents,
		strategy: s,
		w:        w,
		progress: progress,
		batches:  make(chan *batch, 64), // the writer's pool is what bounds them
		reads:    make(chan read, readers),
	}
	p.used.New = func() any { return &batch{ready: make(chan struct{}, 1)} }
	return p
}

// run returns when everything has been handed to the writer or something failed, for which fail
// cancels ctx.
func (p *pipeline) run(ctx context.Context, fail context.CancelCauseFunc) error {
	p.fail = fail
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
	for e, err := range p.extents {
		if err != nil {
			return err
		}
		if e.Len <= 0 {
			return fmt.Errorf("the source has a %v", e)
		}
		for e.Len > 0 && ctx.Err() == nil {
			if p.filling == nil {
				p.filling = p.newBatch()
			}
			if e, err = p.strategy.take(p.filling, e); err != nil {
				return err
			}
			if p.strategy.full(p.filling) {
				p.dispatch()
			}
		}
		if ctx.Err() != nil {
			return nil // run knows why
		}
	}
	p.dispatch()
	return nil
}

// dispatch sends the batch that is being filled on its way.
func (p *pipeline) dispatch() {
	b := p.filling
	if b == nil {
		return
	}
	p.filling = nil
	b.cutReads()
	p.strategy.prepare(b)
	p.announce(b.reads)
	// As long as one is missing, the batch is not sent, and is ours.
	n := len(b.reads)
	b.pending.Store(int32(n))
	p.batches <- b
	if n == 0 {
		b.ready <- struct{}{}
	}
	for i := range n {
		p.reads <- b.reads[i]
	}
}

// announceGap is how large a gap between two extents may be for both to be announced
// as one, in bytes: a call of its own costs more than to read that.
const announceGap = 16 << 10

// announce tells the strategy what will be read.
func (p *pipeline) announce(reads []read) {
	off, end := int64(0), int64(0)
	tell := func() {
		if end > off {
			p.strategy.willNeed(off, end-off)
		}
	}
	for _, r := range reads {
		for _, x := range r.records {
			if x.Off-end > announceGap || x.End()-off > readSize {
				tell()
				off = x.Off
			}
			end = x.End()
		}
	}
	tell()
}

// read is a reader: it does reads until there are no more. The one that does
// the last of a batch also finishes that.
func (p *pipeline) read(ctx context.Context) {
	for r := range p.reads {
		if ctx.Err() == nil {
			if err := p.strategy.read(r); err != nil {
				p.fail(err)
			}
		}
		if r.pending.Add(-1) == 0 {
			p.strategy.finish(r.batch)
			r.ready <- struct{}{}
		}
	}
}

// readExtent reads all of an extent.
func readExtent(in io.ReaderAt, data []byte, e format.Extent) error {
	n, err := in.ReadAt(data, e.Off)
	if int64(n) < e.Len || err != nil && err != io.EOF {
		return readError(e, err)
	}
	return nil
}

// send hands the batches to the writer. Where little differs, a segment is filled
// from several.
func (p *pipeline) send(ctx context.Context) {
	done := int64(0)
	var waiting *format.Segment
	write := func(s *format.Segment) {
		if s == nil {
			return
		}
		if err := p.w.Write(s); err != nil {
			p.fail(err)
		}
	}
	for b := range p.batches {
		<-b.ready
		seg := b.seg
		done += b.bytes
		p.used.Put(b)
		switch {
		case ctx.Err() != nil:
			seg.Release()
			continue
		case len(seg.Records) == 0: // all of it equals the base
			seg.Release()
		case waiting != nil && fit(waiting, seg):
			waiting.Records = append(waiting.Records, seg.Records...)
			waiting.Data = append(waiting.Data, seg.Data...)
			seg.Release()
		case p.strategy.joins():
			write(waiting)
			waiting = seg
		default:
			write(seg)
		}
		p.progress(done)
	}
	if ctx.Err() != nil && waiting != nil {
		waiting.Release()
		return
	}
	write(waiting)
}

// fit tells whether two segments are one of the usual size.
func fit(a, b *format.Segment) bool {
	return len(a.Data)+len(b.Data) <= batchData &&
		len(a.Records)+len(b.Records) <= format.MaxSegmentExtents
}
