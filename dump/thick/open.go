package thick

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/thick/store"
	"lvmsync/format/storage"
)

// Open opens what has changed on its origin since a snapshot was made. The snapshot is named in any way that LVM users do.
func Open(ctx context.Context, name string) (*Source, error) {
	s, err := openLive(ctx, name)
	if err == nil {
		s.describe(ctx, s.origin)
		err = s.listLive(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.volume, s.base, s.still, s.named = s.origin, s.old, s.old, s.snapshot
	s.plan(s.snapshot.size)
	return s, nil
}

// OpenReverse opens what takes the origin of a snapshot back to it.
func OpenReverse(ctx context.Context, name string) (*Source, error) {
	s, err := openLive(ctx, name)
	if err == nil {
		s.describe(ctx, s.old)
		err = s.listLive(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.volume, s.base, s.still, s.state = s.old, s.origin, s.old, s.leadsTo()
	s.plan(s.snapshot.size)
	return s, nil
}

// OpenTo opens what has changed from one snapshot of an origin to another one, which need not be the newer one. The origin may be in
// use.
func OpenTo(ctx context.Context, from, to string) (*Source, error) {
	s, err := openLive(ctx, from)
	if err == nil {
		s.to, err = openLive(ctx, to)
	}
	if err == nil {
		err = s.snapshot.checkPair(s.to.snapshot)
	}
	if err == nil {
		s.describe(ctx, s.to.old)
		err = s.listLive(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.volume, s.base, s.still = s.to.old, s.old, s.to.old
	s.named, s.state = s.snapshot, s.to.leadsTo()
	s.addChunks(s.to)
	s.plan(s.snapshot.size)
	return s, nil
}

// OpenStore opens a COW store and the origin that it belongs to by their own paths: what has changed on the origin, or what takes
// it back. Both may be devices or files. The store must be that of this very origin: nothing in it tells. LVM and device-mapper
// aren't needed, but if a snapshot stands on the store, it must be one whose list is complete. For the way back, originPath may be
// empty: the store holds the old content.
func OpenStore(ctx context.Context, cowPath, originPath string, exactBase, reverse bool) (*Source, error) {
	s := new(Source)
	err := s.open(cowPath, originPath)
	if err == nil {
		s.describeStore(cowPath, originPath, reverse)
		err = s.listStore(ctx, exactBase || reverse)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	switch {
	case reverse && s.origin == nil:
		s.volume = s.before
	case reverse:
		s.volume, s.base, s.still = s.before, s.origin, s.origin
	default:
		s.volume, s.still = s.origin, s.origin
		if exactBase {
			s.base = s.before
		}
	}
	if s.volume.Size() == 0 {
		return nil, errors.Join(fmt.Errorf("%s lists no changes: there is nothing to take back", cowPath), s.Close())
	}
	s.plan(s.volume.Size())
	return s, nil
}

// describeStore is describe for a store that is named directly.
func (s *Source) describeStore(cowPath, originPath string, reverse bool) {
	if reverse {
		s.info = dump.DescribeSource(cowPath, s.cow.ID())
	} else {
		s.info = dump.DescribeSource(originPath, s.origin.ID())
		storage.AddStorage(&s.info, cowPath, s.cow.ID()) // it may not be written to either
	}
	s.info.Type = "cow"
}

// open opens the devices of origin and store.
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
	return nil
}

// openStore reads the store's header.
func (s *Source) openStore(ctx context.Context) (err error) {
	if s.store, err = store.Open(s.cow, s.cow.Size()); err != nil {
		return fmt.Errorf("read the COW store %s: %w", s.cow.Name(), s.storeError(ctx, err))
	}
	s.chunkBytes = s.store.ChunkSize()
	return nil
}

// listStore reads the list of a store that is named directly, and where the old content is, if that is needed.
func (s *Source) listStore(ctx context.Context, before bool) error {
	if err := s.checkStanding(ctx); err != nil {
		return err
	}
	if err := s.openKernels(); err != nil {
		return err
	}
	// A write that is still in memory above the origin has no exception yet.
	if err := s.Inputs().Flush(); err != nil {
		return err
	}
	if err := s.openStore(ctx); err != nil {
		return err
	}
	usage, err := storage.Users(s.cow.ID())
	if err != nil {
		return err
	}
	ahead := int64(store.AllAreas)
	if len(usage.Users) > 0 || len(s.standing) > 0 { // which may write to it
		ahead = 0
	}
	switch {
	case !before || ahead > 0:
	case len(usage.Users) > 0:
		return fmt.Errorf("the COW store %s is %s and may grow: name the snapshot instead", s.cow.Name(), usage.Users[0])
	default:
		return fmt.Errorf("the COW store %s is that of %s and may grow: name the snapshot instead", s.cow.Name(), s.standing[0].name)
	}
	size := int64(math.MaxInt64)
	if s.origin != nil {
		size = s.origin.Size()
	}
	if err := s.list(ctx, size, ahead); err != nil {
		return err
	}
	if err := s.checkStanding(ctx); err != nil || !before {
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
