// Package compare is the source of patches of what differs between two devices or
// image files, in any mix, or from a state of an archive: it reads and compares both.
package compare

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/full"
	"lvmsync/dump/stored"
	"lvmsync/format"
)

// ErrSame means that a device or file was to be compared with itself.
var ErrSame = errors.New("both are the same device or file")

// Open opens the device or file at path, and the one at base to compare it with, in
// blocks of blockSize bytes. The most that can differ is planned: everything but what is a hole in
// both.
func Open(ctx context.Context, path, base string, blockSize int64) (dump.Source, error) {
	now, err := full.Open(ctx, path)
	if err != nil {
		return dump.Source{}, err
	}
	old, err := blockdev.Open(base)
	if err != nil {
		return dump.Source{}, errors.Join(err, now.Close())
	}
	src := now.Source()
	if old.ID() == now.ID() {
		err = fmt.Errorf("%w: %s and %s", ErrSame, old.Name(), now.Name())
	}
	if err == nil {
		src.Inputs = append(src.Inputs, dump.Input{File: old, What: "the base"})
		err = src.Inputs.Flush()
	}
	if err == nil {
		src, err = compared(ctx, src, now, dump.CopyOf(old), blockSize)
	}
	if err != nil {
		return dump.Source{}, errors.Join(err, now.Close(), old.Close())
	}
	src.Close = func() error { return errors.Join(now.Close(), old.Close()) }
	return src, nil
}

// OpenStored opens the device or file at path, to compare it with a state of an archive. The patch
// follows the one that leads to that. The source closes the state, and so does an error.
func OpenStored(ctx context.Context, path string, old *stored.State,
	blockSize int64) (dump.Source, error) {
	now, err := full.Open(ctx, path)
	if err != nil {
		return dump.Source{}, errors.Join(err, old.Close())
	}
	src, err := compared(ctx, now.Source(), now, old, blockSize)
	if err != nil {
		return dump.Source{}, errors.Join(err, now.Close(), old.Close())
	}
	src.Header.Base.Patch = old.Patch()
	src.Close = func() error { return errors.Join(now.Close(), old.Close()) }
	return src, nil
}

// compared makes of the source of now that of what the destination needs which holds old.
func compared(ctx context.Context, src dump.Source, now *full.Volume, old dump.Copy,
	blockSize int64) (dump.Source, error) {
	all, err := dump.Fingerprint(ctx, old, old.Size())
	if err != nil {
		return src, err
	}
	held, err := dump.StillHeld(ctx, all, now, now.Size())
	if err != nil {
		return src, err
	}
	src.Header.Kind = format.Delta
	src.Header.Granularity = blockSize
	src.Header.Base = &format.Base{Exact: true, Fingerprint: held}
	src.Base = old
	src.Extents = notInBoth(now.Extents(blockSize), old, src.Shared())
	checkNow := src.Check
	src.Check = func(ctx context.Context) error {
		if err := old.Check(); err != nil {
			return err
		}
		return checkNow(ctx)
	}
	return src, nil
}

// notInBoth yields the extents but for the holes in them where old has zeros, too, in its first
// shared bytes. What lies beyond must be sent.
func notInBoth(extents iter.Seq2[format.Extent, error], old dump.Copy,
	shared int64) iter.Seq2[format.Extent, error] {
	return func(yield func(format.Extent, error) bool) {
		zeros := old.Zeros()
		defer zeros.Close()
		for e, err := range extents {
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
			if !yieldHole(e, zeros, shared, yield) {
				return
			}
		}
	}
}

// holeStep is how much of a hole is looked at in one, in bytes.
const holeStep = 1 << 20

// yieldHole yields what the old one may have in a hole of the new one.
func yieldHole(e format.Extent, zeros dump.Zeros, shared int64,
	yield func(format.Extent, error) bool) bool {
	for e.Len > 0 {
		part, inBoth := e, false
		if e.Off < shared {
			part.Len = min(e.Len, holeStep-e.Off%holeStep, shared-e.Off)
			var err error
			if inBoth, err = zeros.Cover(part.Off, part.Len); err != nil {
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
