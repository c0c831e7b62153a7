package apply

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/durable"
	"lvmsync/format/refine"
)

// undoBatch is how much is saved before it is made durable and then overwritten,
// in bytes: enough that the disk sets the pace, not the number of flushes.
const undoBatch = 8 << 20

// undoSegment is how much data goes into a segment of the undo patch, in bytes: a
// few of them are held.
const undoSegment = 1 << 20

// A journal is the undo patch of a run: what the destination held before, written ahead.
// Nothing is overwritten before what it held is durable in the patch. Where a crash has left
// it without its end, a tail tells what of it can be used.
//
// It's for one goroutine, but for what handOver returns.
type journal struct {
	path    string
	f       *durable.File
	w       *format.Writer
	dest    *destination
	size    int64           // of the volume, in bytes
	segment *format.Segment // being filled; may be nil
	saved   int64           // where the last of what was saved ends
	pending int64           // length of what was saved and has not been handed over, in bytes
}

// createJournal creates the undo patch that the options ask for; nil if they ask for none. In a
// dry run it only checks that it could be, as far as that can be told.
func createJournal(patches []format.Header, d *destination, o Options) (*journal, error) {
	if o.Undo == "" {
		return nil, nil
	}
	if memory := durable.Memory(filepath.Dir(o.Undo)); memory != "" {
		o.Warn(fmt.Sprintf("the undo patch %s is kept in %s: "+
			"after a power cut there is no way back", o.Undo, memory))
	}
	if o.DryRun {
		if _, err := os.Lstat(o.Undo); err == nil {
			return nil, fmt.Errorf("%w: %s", ErrUndoExists, o.Undo)
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("create the undo patch %s: %w", o.Undo, durable.Cause(err))
		}
		if err := mayCreateBeside(o.Undo); err != nil {
			return nil, fmt.Errorf("create the undo patch %s: write to its folder: %w", o.Undo, err)
		}
		return nil, nil
	}
	f, err := o.files.Create(o.Undo)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%w: %s", ErrUndoExists, o.Undo)
	}
	if err != nil {
		return nil, fmt.Errorf("create the undo patch %s: %w", o.Undo, err)
	}
	h := undoHeader(patches, d, o)
	j := &journal{path: o.Undo, f: f, dest: d, size: h.VolumeSize}
	j.w, err = format.NewWriter(journalFile{j}, h,
		format.WriterOptions{Level: 1, BeforeTrailer: j.flush})
	if err != nil {
		return nil, errors.Join(err, j.remove())
	}
	return j, nil
}

// undoHeader describes the undo patch of patches.
func undoHeader(patches []format.Header, d *destination, o Options) format.Header {
	first, last := patches[0], patches[len(patches)-1]
	h := format.Header{
		ID:          uuid.New(),
		Kind:        format.Undo,
		Created:     time.Now().UTC().Truncate(time.Millisecond),
		Tool:        o.Tool,
		ToolVersion: o.ToolVersion,
		VolumeSize:  min(d.size, volumeSize(patches)),
		Granularity: refine.BlockSize,
		Base:        &format.Base{Exact: true, Patch: last.ID},
	}
	h.Host, _ = os.Hostname() // only told to people: unknown is fine
	if id, err := o.system.identify(o.Destination); err == nil {
		h.Source = o.system.describe(o.Destination, id) // the same
	}
	if s := last.State; s != nil {
		h.Base.Snapshot = s.Snapshot
	}
	if b := first.Base; b != nil && first.Start == 0 { // else part of it had been applied before
		h.State = &format.State{Snapshot: b.Snapshot, SnapshotCreated: b.SnapshotCreated,
			Patch: b.Patch}
	}
	return h
}

// add saves those blocks of old, which is what the destination holds from off on,
// that differ from what it shall hold.
func (j *journal) add(off int64, old, shall []byte) error {
	if n := min(j.saved-off, int64(len(old))); n > 0 {
		off, old, shall = off+n, old[n:], shall[n:]
	}
	if len(old) == 0 {
		return nil
	}
	if part := off % format.SectorSize; part > 0 {
		if err := j.addSector(off - part); err != nil {
			return err
		}
		return j.add(off, old, shall)
	}
	end := off + int64(len(old))
	whole := end - off
	if end < j.size {
		whole -= end % format.SectorSize
	}
	for e, data := range refine.Blocks(off, old[:whole], shall[:whole], refine.BlockSize) {
		r := format.Record{Extent: e, HasBase: true,
			BaseHash: xxhash.Sum64(shall[e.Off-off : e.End()-off])}
		if err := j.append(r, data); err != nil {
			return err
		}
	}
	if off+whole < end {
		return j.addSector(off + whole)
	}
	return nil
}

// addSector saves a whole sector of which a part shall change: what comes before or behind
// the end of a volume that wasn't of whole sectors may be another patch's, and is saved
// with it. What the sector shall hold isn't known here.
func (j *journal) addSector(off int64) error {
	b := make([]byte, min(format.SectorSize, j.size-off))
	if _, err := j.dest.ReadAt(b, off); err != nil {
		return err
	}
	e := format.Extent{Off: off, Len: int64(len(b)), Kind: format.Data}
	return j.append(format.Record{Extent: e}, b)
}

// addWhole saves all of old, which is what the destination holds from off on. What it
// shall hold isn't told: if the power fails that may be anything.
func (j *journal) addWhole(off int64, old []byte) error {
	skip := min(max(j.saved-off, 0), int64(len(old)))
	off, old = off+skip, old[skip:]
	old = old[:max(0, min(int64(len(old)), j.size-off))]
	for run, data := range refine.Runs(off, old, nil) {
		for run.Len > 0 {
			e := run
			if e.Kind == format.Data {
				e.Len = min(e.Len, refine.BlockSize)
			}
			n := min(e.Len, int64(len(data))) // none of zeros
			if err := j.append(format.Record{Extent: e}, data[:n]); err != nil {
				return err
			}
			run.Off, run.Len, data = e.End(), run.Len-e.Len, data[n:]
		}
	}
	return nil
}

// append saves an extent.
func (j *journal) append(r format.Record, data []byte) error {
	if s := j.segment; s != nil && (len(s.Records) == format.MaxSegmentExtents ||
		len(s.Data) > undoSegment-refine.BlockSize) {
		if err := j.write(); err != nil {
			return err
		}
	}
	if j.segment == nil {
		j.segment = j.w.NewSegment()
	}
	s := j.segment
	s.Data = append(s.Data, data...)
	s.Records = append(s.Records, r)
	j.pending += r.Len
	j.saved = r.End()
	return nil
}

// write hands over the segment that is being filled.
func (j *journal) write() error {
	s := j.segment
	if s == nil {
		return nil
	}
	j.segment = nil
	return j.w.Write(s)
}

// isFull tells whether so much has been saved that it shall be handed over.
func (j *journal) isFull() bool { return j.pending >= undoBatch }

// handOver hands over all that was saved. What it returns makes that durable, by another
// goroutine, too, while more is saved.
func (j *journal) handOver() (makeDurable func() error, err error) {
	if j.pending == 0 {
		return func() error { return nil }, nil
	}
	j.pending = 0
	return j.sync, j.write()
}

// sync makes all that was handed over durable.
func (j *journal) sync() error {
	if err := j.w.Flush(); err != nil {
		return err
	}
	return j.flush()
}

// flush makes durable what has been written to the file.
func (j *journal) flush() error {
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("flush the undo patch %s: %w", j.path, err)
	}
	return nil
}

// end ends the undo patch. Unless it is to be kept, because the destination has been
// touched, it's removed. If it can't be ended it is kept as far as it is durable, which
// is what it takes to go back: an error says no more than that it has no end.
func (j *journal) end(keep bool) error {
	if j == nil {
		return nil
	}
	if !keep {
		if j.segment != nil {
			j.segment.Release()
		}
		j.w.Abort()
		return j.remove()
	}
	if err := stillNamed(j.path, j.f.File()); err != nil {
		return &lostNameError{err}
	}
	err := j.write()
	if closeErr := j.w.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = j.f.Commit()
	}
	if err == nil {
		return nil
	}
	if cutErr := j.f.Cut(); cutErr != nil {
		err = fmt.Errorf("%w; then cut off what may be torn: %w", err, cutErr)
	}
	return fmt.Errorf("end the undo patch %s, which takes everything back without its end, too: %w",
		j.path, err)
}

// A lostNameError says that an undo patch is no longer where it was made.
type lostNameError struct{ error }

func (e *lostNameError) Error() string {
	return fmt.Sprintf("the undo patch: %v: what was overwritten is in it, without an end, "+
		"if it was only moved", e.error)
}

func (j *journal) remove() error {
	if err := j.f.Remove(); err != nil {
		return fmt.Errorf("remove the undo patch %s, which isn't needed: %w", j.path, err)
	}
	return nil
}

// journalFile says of errors which file they are about.
type journalFile struct{ *journal }

func (j journalFile) Write(b []byte) (int, error) {
	n, err := j.f.Write(b)
	if err != nil {
		err = fmt.Errorf("write the undo patch %s: %w", j.path, err)
	}
	return n, err
}
