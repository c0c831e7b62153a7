package apply

import (
	"context"

	"lvmsync/format"
	"lvmsync/format/refine"
)

// plan finds out what a segment changes, and checks its base. Old is what the
// destination holds in its data extents. Without an undo patch it's written at once.
func (p *replay) plan(ctx context.Context, s *format.Segment, old []byte) error {
	var err error
	p.zeros.ofZeros(s)
	if p.base != nil {
		if err := p.base.compare(ctx, s, old, &p.zeros); err != nil {
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
			err = p.planData(ctx, e.Off, data[:e.Len], old[:e.Len])
			old = old[whole:]
		}
		if err != nil {
			return err
		}
	}
	p.planned.held = append(p.planned.held, s)
	if p.undo != nil && len(p.planned.held) < batchSegments && p.undo.pending < undoBatch {
		return nil
	}
	return p.commit(ctx)
}

// planData plans to write those blocks of data that differ from what is there.
func (p *replay) planData(ctx context.Context, off int64, data, old []byte) error {
	if p.undo != nil {
		if err := p.save(ctx, off, old, data); err != nil {
			return err
		}
	}
	p.report.Right += int64(len(data))
	for e, d := range refine.Runs(off, data, old) {
		p.report.Right -= e.Len
		p.planned.changes = append(p.planned.changes, change{e, d})
	}
	return nil
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
			if differs && (p.undo == nil || len(p.dest.blocks.parts) > 0) {
				return nil // that's enough to know
			}
			old := p.piece[:n]
			if err := readFull(ctx, &p.zeros, old, off); err != nil {
				return err
			}
			for range refine.Runs(off, zeros[:n], old) {
				differs = true
				break
			}
			if !differs || p.undo == nil {
				return nil
			}
			if len(p.dest.blocks.parts) > 0 {
				return p.saveZeros(ctx, part) // once is enough
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
		p.planned.changes = append(p.planned.changes, change{part, nil})
		if p.undo != nil && p.undo.pending >= undoBatch {
			if err := p.commit(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit makes the undo patch durable as far as it goes, then writes what is planned.
// With an undo patch, the next batch is planned meanwhile, for the disks are slow; the
// outcome is waited for later.
func (p *replay) commit(ctx context.Context) error {
	if err := p.committing.wait(); err != nil {
		return err
	}
	b := p.planned
	if p.undo == nil {
		p.planned = batch{b.changes[:0], b.held[:0]}
		return p.carryOut(ctx, b)
	}
	p.planned = batch{}
	pending, err := p.undo.handOver()
	if err != nil {
		return err
	}
	p.committing = begin(func() error {
		if pending {
			if err := p.undo.sync(); err != nil {
				return err
			}
		}
		return p.carryOut(ctx, b)
	})
	if len(p.dest.blocks.parts) > 0 { // nothing of a block may be read while it is filled
		return p.committing.wait()
	}
	return nil
}

// carryOut writes the changes of a batch.
func (p *replay) carryOut(ctx context.Context, b batch) error {
	for _, c := range b.changes {
		if err := p.do(ctx, c, func(int64) {}); err != nil {
			return err
		}
	}
	for _, s := range b.held {
		for _, r := range s.Records {
			p.done += r.Len
		}
		if err := p.finish(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
