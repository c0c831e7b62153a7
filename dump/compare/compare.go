// Package compare is the source of patches of what differs between two devices or
// image files, in any mix: it reads and compares both.
package compare

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/full"
	"lvmsync/format"
)

// ErrSame means that a device or file was to be compared with itself.
var ErrSame = errors.New("both are the same device or file")

// A Source is what differs between two devices or files. It implements [dump.Source].
type Source struct {
	*full.Source // the new one
	old          *blockdev.File
	base         format.Base
	blockSize    int64
}

var _ dump.Source = (*Source)(nil)

// Open opens the device or file at path, and the one at base to compare it with, in
// blocks of blockSize bytes.
func Open(ctx context.Context, path, base string, blockSize int64) (s *Source, err error) {
	s = &Source{blockSize: blockSize, base: format.Base{Exact: true}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.Source, err = full.Open(ctx, path); err != nil {
		return s, err
	}
	if s.old, err = blockdev.Open(base); err != nil {
		return s, err
	}
	if s.old.ID() == s.ID() {
		return s, fmt.Errorf("%w: %s and %s", ErrSame, base, path)
	}
	if err = s.Inputs().Flush(); err != nil {
		return s, err
	}
	all, err := dump.Fingerprint(ctx, s.old, s.old.Size())
	if err == nil {
		s.base.Fingerprint, err = dump.StillHeld(ctx, all, s.Source, s.Size())
	}
	return s, err
}

// Old is the device or file that the new one is compared with.
func (s *Source) Old() *blockdev.File { return s.old }

// Inputs implements [dump.Source].
func (s *Source) Inputs() dump.Inputs {
	return append(s.Source.Inputs(), dump.Input{File: s.old, What: "the base"})
}

// Header implements [dump.Source]. The most that can differ is planned.
func (s *Source) Header() format.Header {
	h := s.Source.Header()
	h.Kind = format.Delta
	h.Granularity = s.blockSize
	h.Base = &s.base
	return h
}

// Base implements [dump.Source].
func (s *Source) Base() dump.Base { return base{s.old, s.Size()} }

// base is what the new volume is compared with. Where it ends within a sector, that
// sector is new, for an extent must not.
type base struct {
	*blockdev.File
	newSize int64
}

func (b base) Size() int64 {
	size := b.File.Size()
	if size < b.newSize {
		size -= size % format.SectorSize
	}
	return size
}

// Extents implements [dump.Source]: everything but what is a hole in both.
func (s *Source) Extents() iter.Seq2[format.Extent, error] {
	return func(yield func(format.Extent, error) bool) {
		holes := s.old.Holes()
		defer holes.Close()
		for e, err := range s.ExtentsIn(s.blockSize) {
			if err != nil {
				yield(e, err)
				return
			}
			if e.Kind == format.Data {
				if !yield(e, nil) {
					return
				}
				continue
			}
			if !s.yieldHole(e, holes, yield) {
				return
			}
		}
	}
}

// holeStep is how much of a hole is looked at in one, in bytes.
const holeStep = 1 << 20

// yieldHole yields what the old one may have in a hole of the new one. What lies
// beyond its end must be sent.
func (s *Source) yieldHole(e format.Extent, holes *blockdev.Holes, yield func(format.Extent, error) bool) bool {
	end := s.Base().Size()
	for e.Len > 0 {
		part, inBoth := e, false
		if e.Off < end {
			part.Len = min(e.Len, holeStep-e.Off%holeStep, end-e.Off)
			var err error
			if inBoth, err = holes.Cover(part.Off, part.Len); err != nil {
				yield(part, err)
				return false
			}
		}
		if !inBoth && !yield(part, nil) {
			return false
		}
		e.Off, e.Len = part.End(), e.End()-part.End()
	}
	return true
}

// Check implements [dump.Source]. The end of a file that became smaller looks like a
// hole.
func (s *Source) Check(ctx context.Context) error {
	if err := s.old.CheckSize(); err != nil {
		return err
	}
	return s.Source.Check(ctx)
}

// Close implements [dump.Source].
func (s *Source) Close() error {
	var err error
	if s.Source != nil {
		err = s.Source.Close()
	}
	if s.old != nil {
		err = errors.Join(err, s.old.Close())
	}
	return err
}
