package thin

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/dump"
	"lvmsync/format"
)

// Open opens what has changed on the origin of a thin snapshot since that was made.
func Open(ctx context.Context, name string) (*Changes, error) {
	return open(ctx, func(c *Changes) (err error) {
		if c.old, c.new, err = openPair(ctx, name); err != nil {
			return err
		}
		c.still, c.kept = c.old, c.old
		c.describe(ctx, c.old.lv, dump.AddSnapshot)
		c.base = &format.Base{Snapshot: c.old.lv.UUID, SnapshotCreated: c.old.lv.Created}
		return nil
	})
}

// OpenTo opens what has changed from one volume to another one of the same pool. Neither needs to
// be older, nor stem from the other.
func OpenTo(ctx context.Context, from, to string) (*Changes, error) {
	return open(ctx, func(c *Changes) (err error) {
		if c.old, err = openVolume(ctx, from); err != nil {
			return err
		}
		if c.new, err = openVolume(ctx, to); err != nil {
			return err
		}
		if c.old.target.ID == c.new.target.ID && c.old.target.Pool == c.new.target.Pool {
			return fmt.Errorf("%s and %s are the same volume", from, to)
		}
		c.still, c.kept = c.new, c.old
		c.describeTo(ctx)
		return nil
	})
}

// OpenReverse opens what takes the origin of a thin snapshot back to it.
func OpenReverse(ctx context.Context, name string) (*Changes, error) {
	return open(ctx, func(c *Changes) (err error) {
		if c.new, c.old, err = openPair(ctx, name); err != nil {
			return err
		}
		c.still, c.kept = c.new, c.new
		c.describe(ctx, c.new.lv, dump.AddSnapshot)
		c.base, c.state = &format.Base{}, namedState(c.new)
		return nil
	})
}

// OpenFull opens what a thin volume maps; the rest of it are zeros. Where the pool can't be asked,
// it opens all of the volume.
func OpenFull(ctx context.Context, name string) (*Changes, error) {
	return open(ctx, func(c *Changes) (err error) {
		if c.new, err = openVolume(ctx, name); err != nil {
			return err
		}
		// Before it is described: a snapshot that is there later is then known to be.
		c.beginReading()
		c.describeFull(ctx)
		return nil
	})
}

// OpenCompared opens nothing to dump: it is for notes of what a dump of a volume sends that finds
// by itself what to send, and may read the volume until Close; and for what the header says of a
// snapshot that stands still, which has a State then.
func OpenCompared(ctx context.Context, name string) (*Changes, error) {
	return open(ctx, func(c *Changes) (err error) {
		if c.new, err = openVolume(ctx, name); err != nil {
			return err
		}
		c.sent.compare = true
		c.beginReading()
		c.describeFull(ctx)
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
		return snapshot, nil,
			fmt.Errorf("%s: %w: its origin lies outside the pool", name, ErrNoOrigin)
	}
	if origin, err = openVolume(ctx, snapshot.lv.VG+"/"+snapshot.lv.Origin); err != nil {
		return snapshot, origin, fmt.Errorf("open the origin of %s: %w", name, err)
	}
	if origin.lv == nil || origin.lv.UUID != snapshot.lv.OriginUUID {
		err = fmt.Errorf("open the origin of %s: %s is another volume now: it was renamed "+
			"meanwhile, dump again", name, origin.name)
	}
	return snapshot, origin, err
}

// open opens the volumes, then finds out what to send.
func open(ctx context.Context, volumes func(*Changes) error) (*Changes, error) {
	c := new(Changes)
	err := volumes(c)
	if err == nil {
		err = c.list(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
