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

// An undo is the undo patch of a run: what the destination held before, written
// ahead. Nothing is overwritten before what it held is durable in the patch.
type undo struct {
	path    string
	f       *durable.File
	w       *format.Writer
	dest    *destination
	size    int64           // of the volume, in bytes
	segment *format.Segment // being filled; may be nil
	saved   int64           // where the last of what was saved ends
	pending int64           // length of what was saved and has not been handed over, in bytes
}

// createUndo creates the undo patch that the options ask for. In a dry run it only
// checks that it could be, as far as that can be told.
func createUndo(patches []format.Header, d *destination, o Options) (*undo, error) {
	if o.Undo == "" {
		return nil, nil
	}
	if memory := durable.Memory(filepath.Dir(o.Undo)); memory != "" {
		o.Warn(fmt.Sprintf("the undo patch %s is kept in %s: after a power cut there is no way back", o.Undo, memory))
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
	u := &undo{path: o.Undo, f: f, dest: d, size: h.VolumeSize}
	u.w, err = format.NewWriter(undoFile{u}, h, format.WriterOptions{Level: 1, BeforeTrailer: u.flush})
	if err != nil {
		return nil, errors.Join(err, u.remove())
	}
	return u, nil
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
		h.State = &format.State{Snapshot: b.Snapshot, SnapshotCreated: b.SnapshotCreated, Patch: b.Patch}
	}
	return h
}

// add saves those blocks of old, which is what the destination holds from off on,
// that differ from what it shall hold.
func (u *undo) add(off int64, old, shall []byte) error {
	if n := min(u.saved-off, int64(len(old))); n > 0 {
		off, old, shall = off+n, old[n:], shall[n:]
	}
	if len(old) == 0 {
		return nil
	}
	if part := off % format.SectorSize; part > 0 {
		if err := u.addSector(off - part); err != nil {
			return err
		}
		return u.add(off, old, shall)
	}
	end := off + int64(len(old))
	whole := end - off
	if end < u.size {
		whole -= end % format.SectorSize
	}
	if whole > 0 {
		for e, data := range refine.Blocks(off, old[:whole], shall[:whole], refine.BlockSize) {
			r := format.Record{Extent: e, HasBase: true, BaseHash: xxhash.Sum64(shall[e.Off-off : e.End()-off])}
			if err := u.append(r, data); err != nil {
				return err
			}
		}
	}
	if off+whole < end {
		return u.addSector(off + whole)
	}
	return nil
}

// addSector saves a whole sector of which a part shall change: what comes before or behind
// the end of a volume that wasn't of whole sectors may be another patch's, and is saved
// with it. What the sector shall hold isn't known here.
func (u *undo) addSector(off int64) error {
	b := make([]byte, min(format.SectorSize, u.size-off))
	if _, err := u.dest.ReadAt(b, off); err != nil {
		return err
	}
	return u.append(format.Record{Extent: format.Extent{Off: off, Len: int64(len(b)), Kind: format.Data}}, b)
}

// addWhole saves all of old, which is what the destination holds from off on. What it
// shall hold isn't told: if the power fails that may be anything.
func (u *undo) addWhole(off int64, old []byte) error {
	skip := min(max(u.saved-off, 0), int64(len(old)))
	off, old = off+skip, old[skip:]
	old = old[:max(0, min(int64(len(old)), u.size-off))]
	for run, data := range refine.Runs(off, old, nil) {
		for run.Len > 0 {
			e := run
			if e.Kind == format.Data {
				e.Len = min(e.Len, refine.BlockSize)
			}
			n := min(e.Len, int64(len(data))) // none of zeros
			if err := u.append(format.Record{Extent: e}, data[:n]); err != nil {
				return err
			}
			run.Off, run.Len, data = e.End(), run.Len-e.Len, data[n:]
		}
	}
	return nil
}

// append saves an extent.
func (u *undo) append(r format.Record, data []byte) error {
	s, err := u.room()
	if err != nil {
		return err
	}
	s.Data = append(s.Data, data...)
	s.Records = append(s.Records, r)
	u.pending += r.Len
	u.saved = r.End()
	return nil
}

// room returns a segment with room for a block.
func (u *undo) room() (*format.Segment, error) {
	if s := u.segment; s != nil && (len(s.Records) == format.MaxSegmentExtents || len(s.Data) > undoSegment-refine.BlockSize) {
		if err := u.write(); err != nil {
			return nil, err
		}
	}
	if u.segment == nil {
		u.segment = u.w.NewSegment()
	}
	return u.segment, nil
}

// write hands over the segment that is being filled.
func (u *undo) write() error {
	s := u.segment
	if s == nil {
		return nil
	}
	u.segment = nil
	return u.w.Write(s)
}

// handOver hands over all that was saved, to be made durable by sync, and tells
// whether there was anything.
func (u *undo) handOver() (pending bool, err error) {
	pending, u.pending = u.pending > 0, 0
	return pending, u.write()
}

// sync makes all that was handed over durable. Meanwhile more may be added.
func (u *undo) sync() error {
	if err := u.w.Flush(); err != nil {
		return err
	}
	return u.flush()
}

// flush makes durable what has been written to the file.
func (u *undo) flush() error {
	if err := u.f.Sync(); err != nil {
		return fmt.Errorf("flush the undo patch %s: %w", u.path, err)
	}
	return nil
}

// close ends the undo patch. Unless it is to be kept, because the destination has been
// touched, it's removed. If it can't be ended it is kept as far as it is durable, which
// is what it takes to go back: an error says no more than that it has no end.
func (u *undo) close(keep bool) error {
	if u == nil {
		return nil
	}
	if !keep {
		if u.segment != nil {
			u.segment.Release()
		}
		u.w.Abort()
		return u.remove()
	}
	if err := stillNamed(u.path, u.f.File()); err != nil {
		return &lostNameError{err}
	}
	err := u.write()
	if closeErr := u.w.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = u.f.Commit()
	}
	if err == nil {
		return nil
	}
	if cutErr := u.f.Cut(); cutErr != nil {
		err = fmt.Errorf("%w; then cut off what may be torn: %w", err, cutErr)
	}
	return fmt.Errorf("end the undo patch %s, which takes everything back without its end, too: %w", u.path, err)
}

// A lostNameError says that an undo patch is no longer where it was made.
type lostNameError struct{ error }

func (e *lostNameError) Error() string {
	return fmt.Sprintf("the undo patch: %v: what was overwritten is in it, without an end, if it was only moved", e.error)
}

func (u *undo) remove() error {
	if err := u.f.Remove(); err != nil {
		return fmt.Errorf("remove the undo patch %s, which isn't needed: %w", u.path, err)
	}
	return nil
}

// undoFile says of errors which file they are about.
type undoFile struct{ *undo }

func (u undoFile) Write(b []byte) (int, error) {
	n, err := u.f.Write(b)
	if err != nil {
		err = fmt.Errorf("write the undo patch %s: %w", u.path, err)
	}
	return n, err
}
