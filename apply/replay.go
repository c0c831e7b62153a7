package apply

import (
	"context"
	"fmt"
	"io"
	"iter"

	"lvmsync/format"
)

// A replay writes the extents of a patch to its destination.
type replay struct {
	patch    *format.Reader
	dest     *destination
	dryRun   bool
	progress func(Stage, int64)
	done     int64 // length of the extents dealt with, in bytes
	through  int64 // extents before this offset have been written
	cut      int64 // bytes left out past the end of the destination
}

// run replays the whole patch and makes it durable.
func (p *replay) run(ctx context.Context) error {
	err := p.segments(ctx)
	if p.dryRun {
		return err
	}
	if err == nil {
		if err = p.dest.sync(); err == nil {
			p.dest.finished = true
			return nil
		}
	}
	if !p.dest.touched {
		return err
	}
	partial := &PartialError{Destination: p.dest.path, Through: p.through, Err: err}
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

func (p *replay) segments(ctx context.Context) error {
	for {
		s, err := p.patch.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for e, data := range runs(s) {
			if err := p.extent(ctx, e, data); err != nil {
				return err
			}
		}
		s.Release()
		p.progress(Applying, p.done)
	}
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

// extent writes what the destination has room for of one extent.
func (p *replay) extent(ctx context.Context, e format.Extent, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	room := max(0, min(e.Len, p.dest.size-e.Off))
	p.cut += e.Len - room
	var err error
	switch {
	case p.dryRun || room == 0:
	case e.Kind == format.Data:
		err = p.dest.write(data[:room], e.Off)
	default:
		err = p.zero(ctx, e.Off, room)
	}
	if err != nil {
		return err
	}
	p.through = e.End()
	p.done += e.Len
	return nil
}

// zeroStep is how much is zeroed at a time, in bytes, so that neither an
// interruption nor the progress waits for a large volume.
const zeroStep = 256 << 20

// zero makes [off, off+size) read as zeros, step by step.
func (p *replay) zero(ctx context.Context, off, size int64) error {
	if p.dest.created {
		return nil // a new file reads as zeros where nothing was written
	}
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
		p.progress(Applying, p.done+done)
	}
	return nil
}
