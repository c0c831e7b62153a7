// Package thick is the source of patches that a thick (classic) snapshot tells: what has changed is listed in the snapshot's COW
// store.
package thick

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/cow"
	"lvmsync/format"
)

// A Source is what differs between a snapshot and its origin, or a later snapshot of it. It implements [dump.Source]. The list of
// changes is a superset of what changed: the kernel makes an exception durable before it lets a write reach the origin.
type Source struct {
	origin *blockdev.File // nil if it's gone
	cow    *blockdev.File
	store  *cow.Store
	// old is the snapshot's device; nil for a store that is read without it.
	old *blockdev.File
	// before is the snapshot as origin and store tell it, where old is nil.
	before *cow.Before

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
	to       *Source // the later snapshot that is sent; nil: none
}

var _ dump.Source = (*Source)(nil)

// Open opens what has changed on its origin since a snapshot was made. The snapshot is named in any way that LVM users do.
func Open(ctx context.Context, name string) (*Source, error) {
	s, err := openLive(ctx, name)
	if err != nil {
		return nil, err
	}
	s.volume, s.base, s.still, s.named = s.origin, s.old, s.old, s.snapshot
	s.plan(s.snapshot.size)
	s.describe(s.origin)
	return s, nil
}

// OpenReverse opens what takes the origin of a snapshot back to it.
func OpenReverse(ctx context.Context, name string) (*Source, error) {
	s, err := openLive(ctx, name)
	if err != nil {
		return nil, err
	}
	s.volume, s.base, s.still, s.state = s.old, s.origin, s.old, s.snapshot.state()
	s.plan(s.snapshot.size)
	s.describe(s.old)
	return s, nil
}

// OpenTo opens what has changed from one snapshot of an origin to a later one. The origin may be in use.
func OpenTo(ctx context.Context, from, to string) (*Source, error) {
	s, err := openLive(ctx, from)
	if err != nil {
		return nil, err
	}
	if s.to, err = openLive(ctx, to); err == nil {
		err = s.snapshot.checkOrder(s.to.snapshot)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.volume, s.base, s.still = s.to.old, s.old, s.to.old
	s.named, s.state = s.snapshot, s.to.snapshot.state()
	s.addChunks(s.to)
	s.plan(s.snapshot.size)
	s.describe(s.to.old)
	return s, nil
}

// OpenStore opens a COW store and the origin that it belongs to by their own paths, without asking LVM or device-mapper: what has
// changed on the origin, or what takes it back. Both may be devices or files. The store must be that of this very origin: nothing
// in it tells. For the way back, originPath may be empty: the store holds the old content.
func OpenStore(ctx context.Context, cowPath, originPath string, exactBase, reverse bool) (*Source, error) {
	s := new(Source)
	err := s.open(cowPath, originPath)
	if err == nil {
		err = s.listStore(ctx, exactBase || reverse)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	switch {
	case reverse && s.origin == nil:
		s.volume = s.before
		s.info = dump.Describe(cowPath, s.cow.ID())
	case reverse:
		s.volume, s.base, s.still = s.before, s.origin, s.origin
		s.info = dump.Describe(cowPath, s.cow.ID())
	default:
		s.volume, s.still = s.origin, s.origin
		if exactBase {
			s.base = s.before
		}
		s.info = dump.Describe(originPath, s.origin.ID())
	}
	s.info.Type = "cow"
	if s.volume.Size() == 0 {
		return nil, errors.Join(fmt.Errorf("%s lists no changes: there is nothing to take back", cowPath), s.Close())
	}
	s.plan(s.volume.Size())
	return s, nil
}

// open opens the devices and the store.
func (s *Source) open(cowPath, originPath string) (err error) {
	if originPath != "" {
		if s.origin, err = blockdev.Open(originPath); err != nil {
			return fmt.Errorf("open the origin: %w", err)
		}
	}
	if s.cow, err = blockdev.Open(cowPath); err != nil {
		return fmt.Errorf("open the COW store: %w", err)
	}
	if s.origin != nil && s.origin.ID() == s.cow.ID() {
		return fmt.Errorf("%s and %s are one and the same: origin and COW store can't be", cowPath, originPath)
	}
	// A write that is still in memory above the origin has no exception yet.
	if s.origin != nil && s.origin.IsDevice() {
		if err := s.origin.Flush(); err != nil {
			return err
		}
	}
	if s.store, err = cow.Open(s.cow, s.cow.Size()); err != nil {
		return fmt.Errorf("read the COW store %s: %w", cowPath, storeError(err))
	}
	s.chunkBytes = s.store.ChunkSize()
	return nil
}

// listStore reads the list of a store that is named directly, and where the old content is, if that is needed.
func (s *Source) listStore(ctx context.Context, before bool) error {
	// The kernel may write to a store that a device is stacked on.
	usage, err := blockdev.Users(s.cow.ID())
	if err != nil {
		return err
	}
	ahead := int64(cow.AllAreas)
	if len(usage.Users) > 0 {
		ahead = 0
		if before {
			return fmt.Errorf("the COW store %s is %s and may grow: name the snapshot instead", s.cow.Name(), usage.Users[0])
		}
	}
	size := int64(math.MaxInt64)
	if s.origin != nil {
		size = s.origin.Size()
	}
	if err := s.list(ctx, size, ahead); err != nil || !before {
		return err
	}
	var origin io.ReaderAt // nothing outside the list is read without one
	if s.origin != nil {
		origin = s.origin
	} else if size = 0; !s.chunks.IsEmpty() {
		size = int64(s.chunks.Maximum()+1) * s.chunkBytes
	}
	if s.before, err = s.store.Before(ctx, origin, size, s.chunks); err != nil {
		return fmt.Errorf("find the old chunks in %s: %w", s.cow.Name(), err)
	}
	return nil
}

// list reads the exceptions of a snapshot of snapshotSize bytes. The areas below initialised may be read ahead.
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

// addChunks adds the exceptions of another snapshot of the origin. What neither has is the origin's in both, so that what both have
// together is a superset of what differs between them: also if something was written to one of them.
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

// storeError makes an overflowed snapshot's store known as what it is to the user, which the store's own error says in its words.
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

// ReadAt implements [dump.Source].
func (s *Source) ReadAt(p []byte, off int64) (int, error) { return s.volume.ReadAt(p, off) }

// Base implements [dump.Source].
func (s *Source) Base() dump.Base { return s.base }

// Unchanged implements [dump.Source].
func (s *Source) Unchanged() io.ReaderAt { return s.still }

// Check implements [dump.Source]: reading the origin goes on as if nothing had happened when the snapshot overflows.
func (s *Source) Check(ctx context.Context) error {
	if s.snapshot != nil {
		if err := s.snapshot.check(ctx); err != nil {
			return err
		}
	}
	if err := s.store.CheckValid(); err != nil {
		return fmt.Errorf("read the COW store %s again: %w", s.cow.Name(), storeError(err))
	}
	if s.to != nil {
		return s.to.Check(ctx)
	}
	return nil
}

// Origin is the volume that the snapshot was made of; nil if it's gone.
func (s *Source) Origin() *blockdev.File { return s.origin }

// Close implements [dump.Source].
func (s *Source) Close() error {
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
