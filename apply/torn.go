package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format"
	"lvmsync/format/salvage"
)

// What a crash can leave torn at the end of an undo patch (docs/format.md, "Undo patches
// without an end").
const (
	// maxUndoTail is how much of the file that is, in bytes.
	maxUndoTail = 64 << 20
	// maxUndoUnsafe is how much its whole segments can have saved there, in bytes: a batch
	// that is being made durable and one that is being saved. Each may be larger by the
	// data of a segment and a piece of a zero extent, which are saved in one go.
	maxUndoUnsafe = 2 * (undoBatch + format.MaxSegmentData + undoBatch)
)

const _ = uint(maxUndoTail - maxUndoUnsafe - maxUndoUnsafe/8) // tables and headers

// A tail is what an undo patch has behind the last segment that is understood, where it lacks
// its end, or is damaged.
type tail struct {
	in      *input
	from    int64           // where it begins, in bytes
	why     error           // what is wrong there
	told    bool            // that the patch has no end
	found   bool            // there is something in it, or the patch is damaged for sure
	skipped int64           // bytes of whole segments that nothing vouches for
	unread  int64           // bytes that are not understood
	salvage *salvage.Reader // of what is whole in it
}

// A DamagedUndoError means that an undo patch is damaged where a crash can't have torn
// it, or though it has its end: what it doesn't hold any more would not be taken back.
type DamagedUndoError struct {
	From   int64  // where the damage is, in bytes
	Left   int64  // bytes from there to the end
	Reason string // why a crash can't be the cause; empty: it has its end
	Err    error  // what is wrong there
}

// Error says so.
func (e *DamagedUndoError) Error() string {
	if e.Reason == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v; a crash can't have left it so: of the %d bytes from byte %d on, %s",
		e.Err, e.Left, e.From, e.Reason)
}

// Unwrap gives what is wrong: the error matches [format.ErrCorrupt].
func (e *DamagedUndoError) Unwrap() error { return e.Err }

// mayLackEnd tells whether it's an undo patch that has no trailer.
func (in *input) mayLackEnd() bool {
	return in.header.MayLackEnd() && in.at != nil && !in.device && !in.hasTrailer()
}

// hasTrailer tells whether the patch, which can be read at random, has its end.
func (in *input) hasTrailer() bool {
	_, ok := format.End(in.at, in.size)
	return ok
}

// torn deals with an error of reading the patch. If it's only the end that an undo patch
// lacks since the machine died, or damage that is to be overlooked, it returns nil, and
// what is left comes from the tail. What comes through a pipe has been read from
// somewhere, and what is on a device was brought there: a missing end is that of the
// transfer.
func (in *input) torn(err error) error {
	var corrupt *format.CorruptError
	var truncated *format.TruncatedError
	from := int64(0)
	switch {
	case !in.header.MayLackEnd():
		return err
	case (in.at == nil || in.device) && errors.As(err, &truncated):
		return fmt.Errorf("%w; an undo patch without its end is taken from a file only", err)
	case in.at == nil || in.device:
		return err
	case errors.As(err, &corrupt):
		from = corrupt.Offset
	case errors.As(err, &truncated):
		from = truncated.Start
	default:
		return err
	}
	if in.tail == nil {
		in.tail = &tail{in: in}
	}
	t := in.tail
	t.from, t.why = from, err
	damaged := t.isDamaged()
	switch {
	case in.force:
		t.found = damaged != nil
	case damaged != nil:
		return damaged
	default:
		t.tellTorn()
	}
	return t.startSalvage(!in.force || in.prefixOnly)
}

// tellTorn says that the undo patch has no end.
func (t *tail) tellTorn() {
	if t.told {
		return
	}
	t.told = true
	t.unread = t.in.size - t.from
	t.in.warn(fmt.Sprintf("%s has no end, as if the run that wrote it had been broken off: %v; "+
		"%d bytes at its end are not understood", t.in.name, t.why, t.unread))
}

// isDamaged tells why what is wrong with the undo patch was not left behind by a crash, as
// far as its file shows. A file whose last part was not durable when the machine died may
// have anything there, but no right trailer: that is written when all else is durable. Where
// nothing but a trailer is wrong, the machine died then.
func (t *tail) isDamaged() error {
	left := t.in.size - t.from
	from, torn := format.TornTrailer(t.in.at, t.in.size)
	if t.in.hasTrailer() && !(torn && from == t.from) {
		return t.damaged("") // it isn't unfinished
	}
	if left > maxUndoTail {
		return t.damaged(fmt.Sprintf("no more than the last %d can be torn", maxUndoTail))
	}
	saved := int64(0)
	err := t.behind(func(s *format.Segment) (bool, error) {
		for _, r := range s.Records {
			saved += r.Len
		}
		return saved <= maxUndoUnsafe, nil
	})
	switch {
	case errors.Is(err, salvage.ErrTooMuch):
		return t.damaged(err.Error())
	case err != nil:
		return err
	case saved > maxUndoUnsafe:
		return t.damaged(fmt.Sprintf("whole segments hold more than the %d bytes of the volume "+
			"that are saved before it is made durable", maxUndoUnsafe))
	}
	return nil
}

func (t *tail) damaged(reason string) error {
	return &DamagedUndoError{From: t.from, Left: t.in.size - t.from, Reason: reason, Err: t.why}
}

// behind hands on the whole segments in the tail until use has seen enough.
func (t *tail) behind(use func(*format.Segment) (more bool, err error)) error {
	s, err := salvage.NewReader(t.in.at, t.in.size, t.in.header, t.from, t.in.end)
	if err != nil {
		return err
	}
	for {
		segment, err := s.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if more, err := use(segment); err != nil || !more {
			return err
		}
	}
}

// reaches makes sure that an undo patch without its end goes as far as the destination
// was overwritten, once the patch has been read. What a segment has saved is overwritten
// when the segment, and all before it, is durable: if that has been done with what a
// segment behind the damage holds, no crash can have torn what is before it.
func (t *tail) reaches(ctx context.Context, d *destination) error {
	if t == nil || !t.told || t.in.force || t.unread == 0 {
		return nil
	}
	reason := ""
	err := t.behind(func(s *format.Segment) (bool, error) {
		for r, old := range s.All() {
			over, err := d.overwritten(ctx, r, old)
			if err != nil {
				return false, err
			}
			if over {
				reason = fmt.Sprintf("a whole segment holds what byte %d of the volume "+
					"has been overwritten since", r.Off)
				return false, nil
			}
		}
		return true, nil
	})
	if err == nil && reason != "" {
		err = t.damaged(reason)
	}
	return err
}

// overwritten tells whether the destination holds what the patch did to an extent that
// an undo patch has saved, and not what was there before.
func (d *destination) overwritten(ctx context.Context, r format.Record, old []byte) (bool, error) {
	if !r.HasBase || r.End() > d.size || r.Len > format.MaxSegmentData {
		return false, nil
	}
	now := make([]byte, r.Len)
	if err := readFull(ctx, d, now, r.Off); err != nil {
		return false, err
	}
	if old == nil {
		old = make([]byte, r.Len)
	}
	return xxhash.Sum64(now) == r.BaseHash && !bytes.Equal(now, old), nil
}

// startSalvage ends the reading of the patch itself. What is whole behind the damage
// comes then, unless nothing shall.
func (t *tail) startSalvage(nothing bool) error {
	from := t.from
	if nothing {
		from = t.in.size
	}
	var err error
	t.salvage, err = salvage.NewReader(t.in.at, t.in.size, t.in.header, from, t.in.end)
	return err
}

// next returns the next whole segment behind the damage. Only base hashes vouch for
// its place: without them it could be anybody's.
func (t *tail) next() (*format.Segment, error) {
	for {
		s, err := t.salvage.Next()
		if err == io.EOF {
			t.tellMissing()
		}
		t.found = t.found || err == nil
		alone := func(r format.Record) bool { return !r.HasBase }
		if err != nil || !slices.ContainsFunc(s.Records, alone) {
			return s, err
		}
		t.skipped += t.salvage.At() - s.Offset
	}
}

// tellMissing says, when all of a damaged undo patch has been read, how much is missing.
func (t *tail) tellMissing() {
	if !t.found {
		t.tellTorn()
	}
	if t.told {
		return
	}
	t.told = true
	t.unread = t.salvage.Missed() + t.skipped
	if t.in.prefixOnly {
		t.unread = t.in.size - t.from
	}
	t.in.warn(fmt.Sprintf("forced: %s is damaged, and takes back what is whole of it only; "+
		"%d bytes of it are not understood, and what they had saved stays as it is: %v",
		t.in.name, t.unread, t.why))
}
