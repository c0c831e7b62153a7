package apply

import (
	"bytes"
	"context"
	"iter"

	"lvmsync/format"
	"lvmsync/format/refine"
)

// A planner finds out what segments change, and whether the patch may be applied.
type planner struct {
	dest   *destination
	size   int64      // of the volume in the end, in bytes
	base   *baseCheck // nil: checked before
	lost   lostCount
	accept bool // what is lost
	dryRun bool // count all that speaks against the patch before refusing it
	zeros  spans

	totals format.Totals // of the segments so far
	right  int64         // bytes that are there already
	cut    int64         // bytes of the volume that the destination has no room for
	behind int64         // bytes behind its end that the destination has no room for
}

// A change is a part of an extent that is to be written or, if it is a zero extent, made zeros.
type change struct {
	format.Extent
	data []byte          // what it leads to; nil: zeros
	ends *format.Segment // set: it is empty and stands behind the last change of that segment
}

// A difference is a change with what it replaces.
type difference struct {
	change
	is   []byte // what is there; nil where the change has no data: that is long, and read again
	from int64  // from here on, for what comes before is zeros
}

// count counts a segment, and refuses it if it has something lost.
func (p *planner) count(s *format.Segment) error {
	p.totals.Add(s.Records)
	p.lost.add(s)
	if p.dryRun {
		return nil
	}
	return p.lost.refuse(p.accept, true)
}

// refuse is the error to report at the end of a dry run.
func (p *planner) refuse() error {
	if err := p.lost.refuse(p.accept, false); err != nil || p.base == nil {
		return err
	}
	return p.base.result()
}

// plan checks the base of a segment, and hands on what it changes, in order. Where it doesn't
// matter what is there, that is everything, and what there is isn't told.
func (p *planner) plan(ctx context.Context, f *fetched, use func(difference) error) error {
	there := f.there
	if there != nil {
		if err := p.checkBase(ctx, f); err != nil {
			return err
		}
	}
	for e, data := range runs(f.segment) {
		whole := e.Len
		e.Len = p.dest.room(e)
		p.leaveOut(e.End(), whole-e.Len)
		var err error
		switch {
		case f.there == nil:
			data = data[:min(e.Len, int64(len(data)))]
			err = use(difference{change: change{Extent: e, data: data}})
		case e.Kind == format.Zero:
			err = p.planZeros(ctx, e, use)
		default:
			err = p.planData(e.Off, data[:e.Len], there[:e.Len], use)
			there = there[whole:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leaveOut counts n bytes at off that the destination has no room for.
func (p *planner) leaveOut(off, n int64) {
	cut := min(n, max(0, p.size-off))
	p.cut += cut
	p.behind += n - cut
}

// checkBase compares a segment with its base.
func (p *planner) checkBase(ctx context.Context, f *fetched) error {
	p.zeros.ofZeros(f.segment)
	if p.base == nil {
		return nil
	}
	err := p.base.compare(ctx, f.segment, f.there, &p.zeros)
	if err == nil && !p.dryRun {
		err = p.base.result()
	}
	return err
}

// planData hands on those blocks of data that differ from what is there.
func (p *planner) planData(off int64, data, is []byte, use func(difference) error) error {
	p.right += int64(len(data))
	for e := range refine.Runs(off, data, is) {
		p.right -= e.Len
		from, to := e.Off-off, e.End()-off
		err := use(difference{change: change{Extent: e, data: data[from:to]}, is: is[from:to]})
		if err != nil {
			return err
		}
	}
	return nil
}

// planZeros hands on an extent that is to be zeros, in large parts that are handed on whole
// unless they are zeros: what of a thin volume can be freed may be larger than any block.
func (p *planner) planZeros(
	ctx context.Context, e format.Extent, use func(difference) error,
) error {
	for e.Len > 0 {
		part := e
		part.Len = min(e.Len, undoBatch-e.Off%undoBatch)
		e.Off, e.Len = part.End(), e.Len-part.Len
		from, err := p.zerosEnd(ctx, part)
		switch {
		case err != nil:
		case from == part.End():
			p.right += part.Len
		default:
			err = use(difference{change: change{Extent: part}, from: from})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// zerosEnd finds the first piece of an extent that isn't zeros; the extent's end if there is
// none.
func (p *planner) zerosEnd(ctx context.Context, e format.Extent) (int64, error) {
	end := e.End()
	err := pieces(e, func(off, n int64) error {
		if off > end {
			return nil // that's enough to know
		}
		is, err := p.zeros.view(ctx, off, n)
		if !bytes.Equal(is, zeros[:len(is)]) {
			end = off
		}
		return err
	})
	return end, err
}

// runs yields the extents of a segment with their data. Those that touch and
// are of one kind come as one: their data lie side by side.
func runs(s *format.Segment) iter.Seq2[format.Extent, []byte] {
	return func(yield func(format.Extent, []byte) bool) {
		rest := s.Data
		for i := 0; i < len(s.Records); {
			run := s.Records[i].Extent
			for i++; i < len(s.Records); i++ {
				next := s.Records[i].Extent
				if next.Kind != run.Kind || next.Off != run.End() {
					break
				}
				run.Len += next.Len
			}
			var data []byte
			if run.Kind == format.Data {
				data, rest = rest[:run.Len], rest[run.Len:]
			}
			if !yield(run, data) {
				return
			}
		}
	}
}
