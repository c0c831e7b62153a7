// Package thick is the source of deltas since a thick (classic) snapshot: what
// changed is listed in the snapshot's COW store, the data are the origin's.
package thick

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/cow"
	"lvmsync/format"
)

// A Source is what changed on an origin since a snapshot. It implements
// [dump.Source]. The list of changes is a superset of what changed: the kernel
// makes an exception durable before it lets a write reach the origin.
type Source struct {
	origin  *blockdev.File
	cow     *blockdev.File
	base    *blockdev.File // the snapshot; nil for a store that is read without it
	before  *cow.Before    // the snapshot as origin and store tell it; instead of base
	store   *cow.Store
	chunks  *roaring64.Bitmap // changed, and past the end of the snapshot
	extents int64             // number of them
	bytes   int64             // length of them
	info    format.Source
	// snapshot is what the kernel says of the snapshot; nil for a store that is
	// read without it.
	snapshot *snapshot
}

var _ dump.Source = (*Source)(nil)

// OpenStore opens a COW store and the origin that it belongs to by their own
// paths, without asking LVM or device-mapper. Both may be devices or files. The
// store must be that of this very origin: nothing in it tells. With exactBase, Base
// is there, at the cost of 8 bytes of memory an exception.
func OpenStore(ctx context.Context, cowPath, originPath string, exactBase bool) (*Source, error) {
	s := new(Source)
	if err := s.open(cowPath, originPath); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.info = dump.Describe(originPath, s.origin.ID())
	s.info.Type = "cow"
	// The kernel may write to a store that a device is stacked on.
	usage, err := blockdev.Users(s.cow.ID())
	ahead := int64(cow.AllAreas)
	if err == nil && len(usage.Users) > 0 {
		ahead = 0
	}
	if err == nil {
		err = s.list(ctx, s.origin.Size(), ahead)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if exactBase {
		if s.before, err = s.store.Before(ctx, s.origin, s.origin.Size(), s.chunks); err != nil {
			err = fmt.Errorf("find the old chunks in %s: %w", cowPath, err)
			return nil, errors.Join(err, s.Close())
		}
	}
	s.plan(s.origin.Size())
	return s, nil
}

// open opens both devices and the store.
func (s *Source) open(cowPath, originPath string) (err error) {
	if s.origin, err = blockdev.Open(originPath); err != nil {
		return fmt.Errorf("open the origin: %w", err)
	}
	if s.cow, err = blockdev.Open(cowPath); err != nil {
		return fmt.Errorf("open the COW store: %w", err)
	}
	if s.origin.ID() == s.cow.ID() {
		return fmt.Errorf("%s and %s are one and the same: origin and COW store can't be", cowPath, originPath)
	}
	// A write that is still in memory above the origin has no exception yet.
	if s.origin.IsDevice() {
		if err := s.origin.Flush(); err != nil {
			return err
		}
	}
	if s.store, err = cow.Open(s.cow, s.cow.Size()); err != nil {
		return fmt.Errorf("read the COW store %s: %w", cowPath, storeError(err))
	}
	return nil
}

// list reads the exceptions of a snapshot of snapshotSize bytes. The areas
// below initialised may be read ahead.
func (s *Source) list(ctx context.Context, snapshotSize, initialised int64) error {
	chunks, err := s.store.Exceptions(ctx, snapshotSize, initialised)
	if err != nil {
		return fmt.Errorf("read the exceptions in %s: %w", s.cow.Name(), storeError(err))
	}
	if err := s.store.CheckValid(); err != nil {
		return fmt.Errorf("read the COW store %s again: %w", s.cow.Name(), storeError(err))
	}
	s.chunks = chunks
	return nil
}

// plan adds what lies past the snapshot's end, where the origin grew and writes
// leave no exception, and counts.
func (s *Source) plan(snapshotSize int64) {
	chunk := s.store.ChunkSize()
	if size := s.origin.Size(); size > snapshotSize {
		s.chunks.AddRange(uint64(snapshotSize/chunk), uint64((size+chunk-1)/chunk))
	}
	s.extents, s.bytes = 0, 0
	for e := range s.runs() {
		s.extents++
		s.bytes += e.Len
	}
}

// storeError makes an overflowed snapshot's store known as what it is to the
// user, which the store's own error says in its words.
func storeError(err error) error {
	if errors.Is(err, cow.ErrInvalid) {
		return &overflowError{err}
	}
	return err
}

type overflowError struct{ err error }

func (e *overflowError) Error() string   { return e.err.Error() }
func (e *overflowError) Unwrap() []error { return []error{dump.ErrIncomplete, e.err} }

// Header implements [dump.Source].
func (s *Source) Header() format.Header {
	h := format.Header{
		Kind:        format.Delta,
		Source:      s.info,
		VolumeSize:  s.origin.Size(),
		Granularity: s.store.ChunkSize(),
		Planned:     &format.Planned{Extents: s.extents, Bytes: s.bytes},
	}
	if s.snapshot != nil && s.snapshot.lv != nil {
		h.Base = &format.Base{Snapshot: s.snapshot.lv.UUID, SnapshotCreated: s.snapshot.lv.Created}
	}
	return h
}

// Extents implements [dump.Source].
func (s *Source) Extents() iter.Seq2[format.Extent, error] {
	return func(yield func(format.Extent, error) bool) {
		for e := range s.runs() {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// runs yields the runs of changed chunks. The last chunk may be partial.
func (s *Source) runs() iter.Seq[format.Extent] {
	return func(yield func(format.Extent) bool) {
		chunk, size := s.store.ChunkSize(), s.origin.Size()
		var run format.Extent
		for it := s.chunks.Iterator(); it.HasNext(); {
			off := int64(it.Next()) * chunk
			n := min(chunk, size-off)
			if run.Len > 0 && run.End() == off {
				run.Len += n
				continue
			}
			if run.Len > 0 && !yield(run) {
				return
			}
			run = format.Extent{Off: off, Len: n}
		}
		if run.Len > 0 {
			yield(run)
		}
	}
}

// ReadAt implements [dump.Source]: it reads the origin.
func (s *Source) ReadAt(p []byte, off int64) (int, error) { return s.origin.ReadAt(p, off) }

// Base implements [dump.Source]: it is the snapshot.
func (s *Source) Base() dump.Base {
	switch {
	case s.base != nil:
		return s.base
	case s.before != nil:
		return s.before
	}
	return nil
}

// Unchanged implements [dump.Source]: it reads the snapshot, which stands still,
// or the origin of a store that is read without one.
func (s *Source) Unchanged() io.ReaderAt {
	if s.base == nil {
		return s.origin
	}
	return s.base
}

// Check implements [dump.Source]: reading the origin goes on as if nothing had
// happened when the snapshot overflows.
func (s *Source) Check(ctx context.Context) error {
	if s.snapshot != nil {
		if err := s.snapshot.check(ctx); err != nil {
			return err
		}
	}
	if err := s.store.CheckValid(); err != nil {
		return fmt.Errorf("read the COW store %s again: %w", s.cow.Name(), storeError(err))
	}
	return nil
}

// Origin is the device that the data are read from.
func (s *Source) Origin() *blockdev.File { return s.origin }

// Close implements [dump.Source].
func (s *Source) Close() error {
	var err error
	for _, f := range []*blockdev.File{s.origin, s.cow, s.base} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
