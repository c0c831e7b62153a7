package apply

import (
	"context"
	"fmt"
	"io"

	"lvmsync/format"
)

// batchSegments is how many segments wait for their undo patch to be durable, at
// the most, while as many are planned.
const batchSegments = 4

// held is how many segments of a patch are needed besides the last one.
func (o Options) held() int {
	if o.Undo != "" {
		return 1 + 2*batchSegments
	}
	return 1
}

// A replay writes the extents of patches to their destination. Segments are fetched, with
// what the destination holds there; the plan makes changes of them; with an undo patch, the
// keeper saves what a change replaces; and the writer carries out a batch of changes once
// that is durable.
//
// All of it belongs to the goroutine of Run, but for what others do meanwhile: one reads the
// destination for the next segment, into a buffer of its own (see fetched); and with an undo
// patch, one makes durable what was handed over, then carries out the batch, and has the
// writer and the destination's state until it has been waited for (see commit).
type replay struct {
	dest      *destination
	fetcher   fetcher
	planner   planner
	keeper    *keeper // nil: no undo patch is wanted
	writer    writer
	batch     []change // what is planned, and saved, to be written in one go
	ended     int      // as many segments end in it
	carrying  outcome  // of the batch before
	resumable bool     // see PartialError
	size      int64    // of the volume, in bytes
	dryRun    bool
}

func newReplay(c *chain, s segments, d *destination, j *journal, o Options) *replay {
	first := c.patches[0].header
	compare := j != nil || c.exact() && first.Kind != format.Full
	r := &replay{
		dest:    d,
		fetcher: fetcher{segments: s, dest: d, always: compare},
		planner: planner{dest: d, size: sizeBehind(c.headers()), lost: lostCount{size: d.size},
			accept: o.AcceptLost, dryRun: o.DryRun, zeros: spans{dest: d}},
		writer:    writer{dest: d, dryRun: o.DryRun, progress: o.Progress},
		resumable: len(c.patches) == 1 && first.Kind != format.Undo,
		size:      c.last().header.VolumeSize,
		dryRun:    o.DryRun,
	}
	if len(c.patches) == 1 {
		r.planner.base = newBaseCheck(d, c, o.NoCheckBase)
		r.fetcher.toCheck = true
	}
	if j != nil {
		r.keeper = &keeper{journal: j, dest: d, there: &r.planner.zeros}
	}
	if o.Verify && !o.DryRun {
		r.writer.readBack = &readBack{dest: d, warn: o.Warn, told: make(map[string]bool)}
	}
	if first.Kind == format.Full && !compare {
		d.blocks.whole = format.Extent{Len: min(first.VolumeSize, d.size)}
	} else {
		d.blocks.filling = func(pool string) { o.Warn(unzeroedWarning(d.path, pool, j)) }
	}
	return r
}

// report adds to a report what was done, once run has returned.
func (r *replay) report(to *Report) {
	p, w := &r.planner, &r.writer
	to.Totals, to.Right, to.Lost = p.totals, p.right, p.lost.Bytes
	to.Cut, to.Behind = p.cut, p.behind
	to.Written, to.Zeroed = w.written, w.zeroed
}

// run replays everything and makes it durable.
func (r *replay) run(ctx context.Context) error {
	err := r.all(ctx)
	if carryErr := r.carrying.wait(); carryErr != nil {
		err = carryErr // it came first
	}
	if r.dryRun {
		return err
	}
	if err == nil {
		err = r.writer.end(ctx)
	}
	if err == nil || !r.dest.touched {
		return err
	}
	return r.partial(err)
}

// partial is the error to report if the destination was written to, but not to the end.
func (r *replay) partial(err error) *PartialError {
	through := r.writer.through
	partial := &PartialError{Destination: r.dest.path, Through: through,
		Resumable: r.resumable && through < r.size, Err: err}
	if r.keeper != nil {
		partial.Undo = r.keeper.journal.path
	}
	if r.dest.failed == nil {
		// The patch ended early or the user did: what was written may last.
		if syncErr := r.dest.sync(); syncErr == nil {
			partial.Durable = true
		} else {
			partial.Err = fmt.Errorf("%w; then %w", err, syncErr)
		}
	}
	return partial
}

// all replays everything, and has waited for all that it began but the last batch.
func (r *replay) all(ctx context.Context) error {
	next := r.fetcher.next(ctx)
	defer func() { _ = next.reading.wait() }() // it reads the destination, which is closed later
	for next.err != io.EOF {
		now := next
		if now.err != nil {
			return now.err
		}
		// Else it's written at once, before the next is waited for; or what is read could be
		// what a block of a pool uncovers while it is filled.
		early := now.reading != nil && !r.dest.blocks.any()
		if early {
			next = r.fetcher.next(ctx)
		}
		if err := r.replay(ctx, now); err != nil {
			return err
		}
		if !early {
			next = r.fetcher.next(ctx)
		}
	}
	if err := r.commit(ctx); err != nil {
		return err
	}
	if err := r.carrying.wait(); err != nil || !r.dryRun {
		return err
	}
	return r.planner.refuse()
}

// replay plans what becomes of a segment, and commits that when it is enough.
func (r *replay) replay(ctx context.Context, f *fetched) error {
	err := r.planner.count(f.segment)
	if readErr := f.reading.wait(); err == nil {
		err = readErr
	}
	if err == nil {
		err = r.planner.plan(ctx, f, func(d difference) error { return r.add(ctx, d) })
	}
	if err != nil {
		return err
	}
	r.batch = append(r.batch, change{ends: f.segment})
	if r.ended++; r.keeper == nil || r.ended == batchSegments || r.keeper.isFull() {
		return r.commit(ctx)
	}
	return nil
}

// add adds a change to the batch, once what it replaces has been saved.
func (r *replay) add(ctx context.Context, d difference) error {
	var err error
	if r.keeper != nil && r.keeper.isFull() {
		err = r.commit(ctx)
	}
	if err == nil && r.keeper != nil {
		err = r.keeper.save(ctx, d)
	}
	if err == nil {
		r.batch = append(r.batch, d.change)
	}
	return err
}

// commit carries out the batch: with an undo patch, when that is durable as far as it goes.
// The next batch is planned meanwhile then, for the disks are slow; the outcome is waited
// for later.
func (r *replay) commit(ctx context.Context) error {
	b := r.batch
	r.ended = 0
	if r.keeper == nil {
		r.batch = b[:0]
		return r.writer.carryOut(ctx, b)
	}
	if err := r.carrying.wait(); err != nil {
		return err
	}
	r.batch = nil
	makeDurable, err := r.keeper.handOver()
	if err != nil {
		return err
	}
	r.carrying = begin(func() error {
		if err := makeDurable(); err != nil {
			return err
		}
		return r.writer.carryOut(ctx, b)
	})
	if r.dest.blocks.any() { // nothing of a block may be read while it is filled
		return r.carrying.wait()
	}
	return nil
}
