package apply

import (
	"context"

	"lvmsync/format"
)

// A writer carries out changes. It's for one goroutine at a time, as is what it writes to.
type writer struct {
	dest     *destination
	dryRun   bool // only count
	progress func(Stage, int64)
	readBack *readBack // nil: not wanted

	written int64 // bytes of data
	zeroed  int64 // bytes made zeros
	done    int64 // length of the extents of the segments that are finished, in bytes
	changed int64 // length of the changes since then
	through int64 // extents before this offset have been written
}

// carryOut carries out the changes of a batch.
func (w *writer) carryOut(ctx context.Context, batch []change) (err error) {
	for _, c := range batch {
		if c.ends != nil {
			err = w.finish(ctx, c.ends)
		} else {
			err = w.change(ctx, c)
		}
		if err != nil {
			return err
		}
		w.changed += c.Len
	}
	return nil
}

// change carries out one change.
func (w *writer) change(ctx context.Context, c change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.Kind == format.Data {
		w.written += c.Len
		if w.dryRun {
			return nil
		}
		if err := w.dest.write(c.data, c.Off); err != nil {
			return err
		}
		w.through = c.End()
		return nil
	}
	w.zeroed += c.Len
	if w.dryRun || w.dest.created {
		return nil // a new file reads as zeros where nothing was written
	}
	return w.zero(ctx, c.Off, c.Len)
}

// zeroStep is how much is zeroed at a time, in bytes, so that neither an
// interruption nor the progress waits for a large volume.
const zeroStep = windowZeros

// zero makes [off, off+size) read as zeros, step by step.
func (w *writer) zero(ctx context.Context, off, size int64) error {
	for done := int64(0); done < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(size-done, zeroStep-(off+done)%zeroStep)
		if err := w.dest.zero(off+done, n); err != nil {
			return err
		}
		done += n
		w.through = off + done
		w.progress(Applying, w.done+w.changed+done)
	}
	return nil
}

// finish ends the work on a segment, all changes of which have been carried out.
func (w *writer) finish(ctx context.Context, s *format.Segment) error {
	for _, r := range s.Records {
		w.done += r.Len
	}
	w.changed = 0
	w.through = max(w.through, s.Records[len(s.Records)-1].End())
	w.progress(Applying, w.done)
	var err error
	if w.readBack != nil {
		err = w.readBack.add(ctx, s)
	}
	s.Release()
	return err
}

// end makes durable all that has been written, and reads back the rest of it. The destination
// is complete then.
func (w *writer) end(ctx context.Context) error {
	err := w.dest.sync()
	if err == nil && w.readBack != nil {
		err = w.readBack.compare(ctx)
	}
	if err == nil && !w.dest.isDevice {
		err = stillNamed(w.dest.path, w.dest.f)
	}
	w.dest.complete = err == nil
	return err
}
