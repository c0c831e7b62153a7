package dump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"lvmsync/dump/blockdev"
	"lvmsync/format"
)

// ErrUnreadable means that a part of the source can't be read, though the source as
// such is there.
var ErrUnreadable = errors.New("a part of the source can't be read")

// An unreadableError matches ErrUnreadable and says what its cause says.
type unreadableError struct{ error }

func (e unreadableError) Unwrap() []error { return []error{ErrUnreadable, e.error} }

// unreadable tells whether err is what the kernel says of a place that can't be read.
// What has vanished, or has become smaller, gives others.
func unreadable(err error) bool {
	for _, e := range []unix.Errno{unix.EIO, unix.ENODATA, unix.EREMOTEIO, unix.EBADMSG,
		unix.ETIMEDOUT, unix.EILSEQ} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// zeroingUnreadable is the source with zeros for what can't be read of the data until ctx ends.
// Each range that is lost is reported, one at a time.
func (s Source) zeroingUnreadable(ctx context.Context, report func(format.Extent, error)) Source {
	s.losses = &losses{report: report}
	in := &salvage{Reader: s.Data, ctx: ctx, size: s.Header.VolumeSize,
		sector: int64(s.SectorSize), losses: s.losses}
	in.good.Store(-1)
	s.Data = in
	if s.Unchanged != nil {
		s.Unchanged = passOver{s.Unchanged}
	}
	s.Header.RequiredFeatures = append(slices.Clip(s.Header.RequiredFeatures), format.LostSectors)
	return s
}

// A salvage gives zeros for the sectors that can't be read, and remembers those.
type salvage struct {
	Reader
	ctx    context.Context
	size   int64 // of the volume, in bytes
	sector int64 // what can be read by itself, in bytes
	good   atomic.Int64
	losses *losses
}

// ReadAt implements [io.ReaderAt].
func (s *salvage) ReadAt(p []byte, off int64) (int, error) {
	err := s.read(p, off)
	if err == nil {
		return len(p), nil
	}
	if !unreadable(err) {
		return 0, err
	}
	lost, err := s.split(p, off, nil)
	if err == nil && len(lost) > 0 {
		err = s.confirm()
	}
	if err != nil {
		return 0, err
	}
	for _, l := range lost {
		s.losses.add(l)
	}
	return len(p), nil
}

// read reads all of p. Some readers count bytes that they have not read when they
// fail: after an error nothing in p is believed.
func (s *salvage) read(p []byte, off int64) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	n, err := s.Reader.ReadAt(p, off)
	if n < len(p) && (err == nil || err == io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		return err
	}
	s.good.Store(off)
	return nil
}

// A loss is a range that can't be read, and why.
type loss struct {
	format.Extent
	err error
}

// split reads a range that can't be read as a whole in two halves, and their halves,
// down to sectors. It adds to lost those that can't be read either, which it clears.
func (s *salvage) split(p []byte, off int64, lost []loss) ([]loss, error) {
	end := off + int64(len(p))
	first, last := off/s.sector, (end-1)/s.sector
	middle := (first + last + 1) / 2 * s.sector
	if first == last {
		middle = end
	}
	for _, part := range [][2]int64{{off, middle}, {middle, end}} {
		piece := p[part[0]-off : part[1]-off]
		if len(piece) == 0 {
			continue
		}
		err := s.read(piece, part[0])
		switch {
		case err == nil:
		case !unreadable(err):
			return nil, err
		case part[0]/s.sector == (part[1]-1)/s.sector:
			clear(piece)
			e := format.Extent{Off: part[0], Len: part[1] - part[0], Kind: format.Zero}
			lost = append(lost, loss{e, err})
		default:
			if lost, err = s.split(piece, part[0], lost); err != nil {
				return nil, err
			}
		}
	}
	return joined(lost), nil
}

// joined joins what touches.
func joined(lost []loss) []loss {
	n := 0
	for _, l := range lost {
		if n > 0 && lost[n-1].End() == l.Off {
			lost[n-1].Len += l.Len
			continue
		}
		lost[n] = l
		n++
	}
	return lost[:n]
}

// probes is how many places are looked at to tell a bad sector from a device that
// has failed altogether.
const probes = 16

var errAllGone = errors.New("nor can anything else be read: it has failed or is gone")

// confirm makes sure that something can be read still. A snapshot that has
// overflowed and a disk that was pulled out give the same errors as bad sectors, but
// for all that they hold.
func (s *salvage) confirm() error {
	b := blockdev.AlignedBuffer(int(s.sector))
	var err error
	probe := func(off int64) bool {
		off = off / s.sector * s.sector
		err = s.read(b[:min(s.sector, s.size-off)], off)
		return err == nil
	}
	if good := s.good.Load(); good >= 0 && probe(good) {
		return nil
	}
	for i := range int64(probes) {
		if probe(s.size / probes * i) {
			return nil
		}
		if ctxErr := s.ctx.Err(); ctxErr != nil {
			return ctxErr
		}
	}
	return fmt.Errorf("%v; %w", err, errAllGone)
}

// errPassOver is the error of a read that can be done without.
var errPassOver = errors.New("can't be read and need not be")

// A passOver marks the errors of what can't be read, or isn't known: no sample is taken there.
type passOver struct{ io.ReaderAt }

func (p passOver) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.ReaderAt.ReadAt(b, off)
	var unknown *UnknownError
	if unreadable(err) || errors.As(err, &unknown) {
		return 0, fmt.Errorf("%w: %w", errPassOver, err)
	}
	return n, err
}
