package apply

import (
	"context"
	"fmt"
	"io"
	"iter"

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

// A replay writes the extents of patches to their destination.
type replay struct {
	segments segments
	dest     *destination
	dryRun   bool
	progress func(Stage, int64)

	compare   bool       // leave alone what is right already
	base      *baseCheck // nil: checked before
	lost      *lostCount
	accept    bool      // what is lost
	resumable bool      // see PartialError
	size      int64     // of the volume, in bytes
	undo      *undo     // nil: not wanted
	readBack  *readBack // nil: not wanted
	old       [2][]byte // where looks read
	zeros     spans
	piece     []byte // and in a piece of a zero extent
	block     []byte // and in a block of a pool
	saved     int64  // blocks that end here or before need not be saved any more

	planned    batch   // to be written once the undo patch is durable
	committing outcome // of the batch before
	totals     format.Totals
	report     Report // the numbers in it
	done       int64  // length of the extents dealt with, in bytes
	through    int64  // extents before this offset have been written
}

// A batch is what is written in one go.
type batch struct {
	changes []change
	held    []*format.Segment // that they come from
}

// A change is a part of an extent that is to be written, or made zeros if data is nil.
type change struct {
	format.Extent
	data []byte
}

func newReplay(c *chain, s segments, d *destination, u *undo, o Options) *replay {
	p := &replay{
		segments:  s,
		dest:      d,
		lost:      &lostCount{size: d.size},
		accept:    o.AcceptLost,
		resumable: len(c.patches) == 1 && c.patches[0].header.Kind != format.Undo,
		size:      c.last().header.VolumeSize,
		dryRun:    o.DryRun,
		progress:  o.Progress,
		compare:   u != nil || c.exact() && c.patches[0].header.Kind != format.Full,
		undo:      u,
		zeros:     spans{dest: d},
		piece:     alignedBuffer(pieceSize),
	}
	if first := c.patches[0].header; first.Kind == format.Full && !p.compare {
		d.blocks.whole = format.Extent{Len: min(first.VolumeSize, d.size)}
	} else {
		d.blocks.filling = func(pool string) { o.Warn(unzeroedWarning(d.path, pool, u)) }
	}
	if len(c.patches) == 1 {
		p.base = newBaseCheck(d, c, o.NoCheckBase)
	}
	if o.Verify && !o.DryRun {
		p.readBack = &readBack{dest: d, warn: o.Warn, told: make(map[string]bool)}
	}
	return p
}

// fill adds to a report what was done.
func (p *replay) fill(r *Report) {
	r.Lost = p.lost.Bytes
	r.Totals, r.Written, r.Zeroed, r.Right, r.Cut =
		p.totals, p.report.Written, p.report.Zeroed, p.report.Right, p.report.Cut
}

// run replays everything and makes it durable.
func (p *replay) run(ctx context.Context) error {
	err := p.all(ctx)
	if waitErr := p.committing.wait(); waitErr != nil {
		err = waitErr // it came first
	}
	if p.dryRun {
		return err
	}
	if err == nil {
		if err = p.dest.sync(); err == nil && p.readBack != nil {
			err = p.readBack.compare(ctx)
		}
		if err == nil && !p.dest.isDevice {
			err = stillNamed(p.dest.path, p.dest.f)
		}
		if err == nil {
			p.dest.finished = true
			return nil
		}
	}
	if !p.dest.touched {
		return err
	}
	partial := &PartialError{Destination: p.dest.path, Through: p.through, Resumable: p.resumable && p.through < p.size, Err: err}
	if p.undo != nil {
		partial.Undo = p.undo.path
	}
	if p.dest.failed == nil {
		// The patch ended early or the user did: what was written may last.
		if syncErr := p.dest.sync(); syncErr == nil {
			partial.Durable = true
		} else {
			partial.Err = fmt.Errorf("%w; then %w", err, syncErr)
		}
	}
	return partial
}

func (p *replay) all(ctx context.Context) error {
	next := p.look(ctx)
	defer func() { _ = next.reading.wait() }() // it reads the destination, which is closed later
	for next.err != io.EOF {
		now := next
		if now.err != nil {
			return now.err
		}
		// Else it's written at once, before the next is waited for; or what is read could be
		// what a block of a pool uncovers while it is filled.
		ahead := now.reading != nil && len(p.dest.blocks.parts) == 0
		if ahead {
			next = p.look(ctx)
		}
		if err := p.replay(ctx, now); err != nil {
			return err
		}
		if !ahead {
			next = p.look(ctx)
		}
	}
	if err := p.commit(ctx); err != nil {
		return err
	}
	if err := p.committing.wait(); err != nil {
		return err
	}
	if !p.dryRun {
		return nil
	}
	if err := p.lost.refuse(p.accept, false); err != nil || p.base == nil {
		return err
	}
	return p.base.result()
}

// replay replays a segment.
func (p *replay) replay(ctx context.Context, l *look) error {
	s := l.segment
	p.totals.Add(s.Records)
	p.lost.add(s)
	if err := p.lost.refuse(p.accept, true); err != nil && !p.dryRun { // which counts all of them
		return err
	}
	if err := l.reading.wait(); err != nil {
		return err
	}
	if l.old == nil {
		return p.write(ctx, s)
	}
	return p.plan(ctx, s, l.old)
}

// write writes a segment whatever the destination holds.
func (p *replay) write(ctx context.Context, s *format.Segment) error {
	for e, data := range runs(s) {
		c := change{e, data}
		if c.Len = p.room(e); data != nil {
			c.data = data[:c.Len]
		}
		if err := p.do(ctx, c, func(done int64) { p.progress(Applying, p.done+done) }); err != nil {
			return err
		}
		p.done += e.Len
	}
	return p.finish(ctx, s)
}

// room is how much of an extent the destination has room for. The rest is cut off.
func (p *replay) room(e format.Extent) int64 {
	room := max(0, min(e.Len, p.dest.size-e.Off))
	p.report.Cut += e.Len - room
	return room
}

// finish ends the work on a segment, all of which has been written.
func (p *replay) finish(ctx context.Context, s *format.Segment) error {
	p.through = max(p.through, s.Records[len(s.Records)-1].End())
	p.progress(Applying, p.done)
	var err error
	if p.readBack != nil {
		err = p.readBack.add(ctx, s)
	}
	s.Release()
	return err
}

// do writes one change. It tells how much has become zeros, for that can be much.
func (p *replay) do(ctx context.Context, c change, zeroed func(done int64)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.Kind == format.Data {
		p.report.Written += c.Len
		if p.dryRun {
			return nil
		}
		if err := p.dest.write(c.data, c.Off); err != nil {
			return err
		}
		p.through = c.End()
		return nil
	}
	p.report.Zeroed += c.Len
	if p.dryRun || p.dest.created {
		return nil // a new file reads as zeros where nothing was written
	}
	return p.zero(ctx, c.Off, c.Len, zeroed)
}

// zeroStep is how much is zeroed at a time, in bytes, so that neither an
// interruption nor the progress waits for a large volume.
const zeroStep = windowZeros

// zero makes [off, off+size) read as zeros, step by step.
func (p *replay) zero(ctx context.Context, off, size int64, zeroed func(done int64)) error {
	for done := int64(0); done < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(size-done, zeroStep-(off+done)%zeroStep)
		if err := p.dest.zero(off+done, n); err != nil {
			return err
		}
		done += n
		p.through = off + done
		zeroed(done)
	}
	return nil
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
