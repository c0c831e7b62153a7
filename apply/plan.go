package apply

import (
	"context"

	"lvmsync/format"
)

// plan finds out what a segment changes, and checks its base. Without an undo patch
// it's written at once.
func (p *replay) plan(ctx context.Context, s *format.Segment) error {
	if cap(p.old) < len(s.Data) {
		p.old = alignedBuffer(format.MaxSegmentData)
	}
	old, err := p.dest.readData(ctx, s, p.old[:len(s.Data)])
	if err != nil {
		return err
	}
	if p.base != nil {
		if err := p.base.compare(ctx, s, old); err != nil {
			return err
		}
		if err := p.base.result(); err != nil && !p.dryRun { // which counts all of them
			return err
		}
	}
	for e, data := range runs(s) {
		whole := e.Len
		if e.Len = p.room(e); e.Kind == format.Zero {
			err = p.planZero(ctx, e)
		} else {
			err = p.planData(e.Off, data[:e.Len], old[:e.Len])
			old = old[whole:]
		}
		if err != nil {
			return err
		}
	}
	p.held = append(p.held, s)
	if p.undo != nil && len(p.held) < heldSegments && p.undo.pending < undoBatch {
		return nil
	}
	return p.commit(ctx)
}

// planData plans to write those blocks of data that differ from what is there.
func (p *replay) planData(off int64, data, old []byte) error {
	p.report.Right += int64(len(data))
	for e, d := range format.Refine(off, data, old) {
		p.report.Right -= e.Len
		p.changes = append(p.changes, change{e, d})
	}
	if p.undo == nil {
		return nil
	}
	return p.undo.add(off, old, data)
}

// planZero plans to make an extent zeros, as a whole unless it is zeros: the part
// of a thin volume that can be freed may be larger than any block.
func (p *replay) planZero(ctx context.Context, e format.Extent) error {
	for e.Len > 0 {
		part := e
		part.Len = min(e.Len, undoBatch-e.Off%undoBatch)
		e.Off, e.Len = part.End(), e.Len-part.Len
		differs := false
		err := pieces(part, func(off, n int64) error {
			if differs && p.undo == nil {
				return nil // that's enough to know
			}
			old := p.piece[:n]
			if err := readFull(ctx, p.dest, old, off); err != nil {
				return err
			}
			for range format.Refine(off, zeros[:n], old) {
				differs = true
				break
			}
			if !differs || p.undo == nil {
				return nil
			}
			return p.undo.add(off, old, zeros[:n])
		})
		if err != nil {
			return err
		}
		if !differs {
			p.report.Right += part.Len
			continue
		}
		p.changes = append(p.changes, change{part, nil})
		if p.undo != nil && p.undo.pending >= undoBatch {
			if err := p.commit(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit makes the undo patch durable as far as it goes, then writes the changes.
func (p *replay) commit(ctx context.Context) error {
	if p.undo != nil {
		if err := p.undo.sync(); err != nil {
			return err
		}
	}
	for _, c := range p.changes {
		if err := p.do(ctx, c); err != nil {
			return err
		}
	}
	p.changes = p.changes[:0]
	for _, s := range p.held {
		for _, r := range s.Records {
			p.done += r.Len
		}
		if err := p.finish(ctx, s); err != nil {
			return err
		}
	}
	p.held = p.held[:0]
	return nil
}
