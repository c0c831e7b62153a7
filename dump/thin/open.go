package thin

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/dump"
	"lvmsync/format"
)

// Open opens what has changed on the origin of a thin snapshot since that was made.
func Open(ctx context.Context, name string) (*Source, error) {
	return open(ctx, func(s *Source) (err error) {
		if s.old, s.new, err = openPair(ctx, name); err != nil {
			return err
		}
		s.still, s.kept = s.old, s.old
		s.describe(ctx, s.old.lv, dump.AddSnapshot)
		s.base = &format.Base{Snapshot: s.old.lv.UUID, SnapshotCreated: s.old.lv.Created}
		return nil
	})
}

// OpenTo opens what has changed from one volume to another one of the same pool. Neither needs to be older, nor stem from the
// other.
func OpenTo(ctx context.Context, from, to string) (*Source, error) {
	return open(ctx, func(s *Source) (err error) {
		if s.old, err = openVolume(ctx, from); err != nil {
			return err
		}
		if s.new, err = openVolume(ctx, to); err != nil {
			return err
		}
		if s.old.target.ID == s.new.target.ID && s.old.target.Pool == s.new.target.Pool {
			return fmt.Errorf("%s and %s are the same volume", from, to)
		}
		s.still, s.kept = s.new, s.old
		s.describeTo(ctx)
		return nil
	})
}

// OpenReverse opens what takes the origin of a thin snapshot back to it.
func OpenReverse(ctx context.Context, name string) (*Source, error) {
	return open(ctx, func(s *Source) (err error) {
		if s.new, s.old, err = openPair(ctx, name); err != nil {
			return err
		}
		s.still, s.kept = s.new, s.new
		s.describe(ctx, s.new.lv, dump.AddSnapshot)
		s.base, s.state = &format.Base{}, namedState(s.new)
		return nil
	})
}

// OpenFull opens what a thin volume maps; the rest of it are zeros. Where the pool can't be asked, it opens all of the volume.
func OpenFull(ctx context.Context, name string) (*Source, error) {
	return open(ctx, func(s *Source) (err error) {
		if s.new, err = openVolume(ctx, name); err != nil {
			return err
		}
		s.beginReading() // before it is described: a snapshot that is there later is then known to be
		s.describeFull(ctx)
		return nil
	})
}

// OpenCompared opens nothing to dump: it is for notes of what a dump of a volume sends that finds by itself what to send, and may read
// the volume until Close.
func OpenCompared(ctx context.Context, name string) (*Source, error) {
	return open(ctx, func(s *Source) (err error) {
		if s.new, err = openVolume(ctx, name); err != nil {
			return err
		}
		s.sent.compare = true
		s.beginReading()
		return nil
	})
}

// openPair opens a thin snapshot and its origin.
func openPair(ctx context.Context, name string) (snapshot, origin *volume, err error) {
	if snapshot, err = openVolume(ctx, name); err != nil {
		return nil, nil, err
	}
	switch {
	case snapshot.lv == nil || snapshot.lv.Origin == "":
		return snapshot, nil, fmt.Errorf("%s: %w", name, ErrNoOrigin)
	case !snapshot.isSnapshot():
		return snapshot, nil, fmt.Errorf("%s: %w: its origin lies outside the pool", name, ErrNoOrigin)
	}
	if origin, err = openVolume(ctx, snapshot.lv.VG+"/"+snapshot.lv.Origin); err != nil {
		return snapshot, origin, fmt.Errorf("open the origin of %s: %w", name, err)
	}
	if origin.lv == nil || origin.lv.UUID != snapshot.lv.OriginUUID {
		err = fmt.Errorf("open the origin of %s: %s is another volume now: it was renamed meanwhile, dump again", name, origin.name)
	}
	return snapshot, origin, err
}

// open opens the volumes, then finds out what to send.
func open(ctx context.Context, volumes func(*Source) error) (*Source, error) {
	s := new(Source)
	err := volumes(s)
	if err == nil {
		err = s.list(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}
