// Package thick is the source of patches that a thick (classic) snapshot tells: what has changed is listed in the snapshot's COW
// store.
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
	"lvmsync/dump/thick/store"
	"lvmsync/format"
)

// A Source is what differs between a snapshot and its origin, or another snapshot of it. The list of
// changes is a superset of what changed: the kernel makes an exception durable before it lets a write reach the origin.
type Source struct {
	origin *blockdev.File // nil if it's gone
	cow    *blockdev.File
	store  *store.Store
	// old is the snapshot's device; nil for a store that is read without it.
	old *blockdev.File
	// before is the snapshot as origin and store tell it, where old is nil.
	before *store.Before

	volume dump.Base   // what is sent
	base   dump.Base   // what it replaces; nil if that can't be read
	still  io.ReaderAt // what stands still of both; nil if neither does

	chunks     *roaring64.Bitmap // changed, and past the end of the snapshot
	chunkBytes int64             // size of a chunk in them
	extents    int64             // number of them
	bytes      int64             // length of them
	info       format.Source
	named      *snapshot // the base, if that is a snapshot
	state      *format.State

	// snapshot is what the kernel says of the snapshot; nil for a store that is read without it.
	snapshot *snapshot
	to       *Source // the other snapshot that is sent; nil: none
	// standing are the snapshots that the kernel has on a store which was named directly.
	standing []*snapshot
}

// list reads the exceptions of a snapshot of snapshotSize bytes. The areas below initialised may be read ahead.
func (s *Source) list(ctx context.Context, snapshotSize, initialised int64) error {
	chunks, err := s.store.Exceptions(ctx, snapshotSize, initialised)
	if err != nil {
		return fmt.Errorf("read the exceptions in %s: %w", s.cow.Name(), s.storeError(ctx, err))
	}
	if err := s.store.CheckValid(); err != nil {
		return fmt.Errorf("read the COW store %s again: %w", s.cow.Name(), s.storeError(ctx, err))
	}
	s.chunks = chunks
	return nil
}

// addChunks adds the exceptions of another snapshot of the origin. What neither has is the origin's in both, so that what both have
// together is a superset of what differs between them: whichever is older, and also if something was written to one of them.
func (s *Source) addChunks(other *Source) {
	unit := min(s.chunkBytes, other.chunkBytes)
	s.chunks = inUnits(s.chunks, s.chunkBytes/unit)
	s.chunks.Or(inUnits(other.chunks, other.chunkBytes/unit))
	s.chunkBytes = unit
}

// inUnits gives the same set in chunks that are so many times smaller.
func inUnits(chunks *roaring64.Bitmap, times int64) *roaring64.Bitmap {
	if times == 1 {
		return chunks
	}
	small := roaring64.New()
	for it := chunks.Iterator(); it.HasNext(); {
		c := it.Next()
		small.AddRange(c*uint64(times), (c+1)*uint64(times))
	}
	return small
}

// plan adds what lies past the old end of a volume that has grown, where writes leave no exception, and counts.
func (s *Source) plan(oldSize int64) {
	if size := s.volume.Size(); size > oldSize {
		s.chunks.AddRange(uint64(oldSize/s.chunkBytes), uint64((size+s.chunkBytes-1)/s.chunkBytes))
	}
	s.extents, s.bytes = 0, 0
	for e := range s.runs() {
		s.extents++
		s.bytes += e.Len
	}
}

// Header describes the patch.
func (s *Source) Header() format.Header {
	h := format.Header{
		Kind:        format.Delta,
		Source:      s.info,
		VolumeSize:  s.volume.Size(),
		Granularity: s.chunkBytes,
		State:       s.state,
		Planned:     &format.Planned{Extents: s.extents, Bytes: s.bytes},
	}
	if s.named != nil && s.named.lv != nil {
		h.Base = &format.Base{Snapshot: s.named.lv.UUID, SnapshotCreated: s.named.lv.Created}
	}
	return h
}

// Extents yields the runs.
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
		size := s.volume.Size()
		var run format.Extent
		for it := s.chunks.Iterator(); it.HasNext(); {
			off := int64(it.Next()) * s.chunkBytes
			n := min(s.chunkBytes, size-off)
			if n <= 0 {
				break // the origin has it, and the snapshot that is sent has not
			}
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

// LogicalBlockSize is the unit, in bytes, in which the data can be read.
func (s *Source) LogicalBlockSize() int {
	if f, ok := s.volume.(*blockdev.File); ok {
		return f.LogicalBlockSize()
	}
	return format.SectorSize
}

// Base is what is replaced; nil if that can't be read.
func (s *Source) Base() dump.Base { return s.base }

// Check makes sure that the list is still whole: reading the origin goes on as if nothing had happened when the snapshot overflows.
func (s *Source) Check(ctx context.Context) error {
	if s.snapshot != nil {
		if err := s.snapshot.check(ctx); err != nil {
			return err
		}
	} else if err := s.checkStanding(ctx); err != nil {
		return err
	}
	if err := s.store.CheckValid(); err != nil {
		return fmt.Errorf("read the COW store %s again: %w", s.cow.Name(), s.storeError(ctx, err))
	}
	if s.to != nil {
		return s.to.Check(ctx)
	}
	return nil
}

// Origin is the volume that the snapshot was made of; nil if it's gone.
func (s *Source) Origin() *blockdev.File { return s.origin }

// Inputs are what is read. What is sent with a later snapshot is not read from the origin, which may be in use then.
func (s *Source) Inputs() dump.Inputs {
	var in dump.Inputs
	if s.origin != nil && s.to == nil {
		in = append(in, dump.Input{File: s.origin, What: "the origin"})
	}
	if s.snapshot == nil {
		return append(in, dump.Input{File: s.cow, What: "the COW store", Still: true})
	}
	in = append(in, dump.Input{File: s.old, What: "the snapshot", Still: true})
	if s.to != nil {
		in = append(in, dump.Input{File: s.to.old, What: "the snapshot", Still: true})
	}
	return in
}

// Close closes all of them.
func (s *Source) Close() error {
	if s == nil {
		return nil
	}
	var err error
	for _, f := range []*blockdev.File{s.origin, s.cow, s.old} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if s.to != nil {
		err = errors.Join(err, s.to.Close())
	}
	return err
}
