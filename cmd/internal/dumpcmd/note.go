package dumpcmd

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin"
	"lvmsync/format"
)

// startsElsewhere is what to do about a copy of a volume of which it isn't noted what it may hold.
const startsElsewhere = "apply nothing to this copy that starts from a snapshot which is there " +
	"already"

// noteSent notes what will be sent, or warns of what follows if it can't be, and gives the source
// of that. What is to be sent then may be told of once more. After an error the changes are closed.
func noteSent(ctx context.Context, inv *cli.Invocation, c *thin.Changes, otherwise string,
	again func() error) (dump.Source, error) {
	if inv.Bool("dry-run") {
		return c.Source(), nil
	}
	src, err := c.NoteSent(ctx, again)
	switch {
	case errors.Is(err, thin.ErrNotNoted):
		inv.Warn(fmt.Sprintf("%v: %s", err, otherwise))
	case err != nil:
		return src, errors.Join(err, c.Close())
	case len(src.Header.Source.Noted) > 0:
		if memory := thin.NotesInMemory(); memory != "" {
			inv.Warn(fmt.Sprintf("what is sent is noted in /var/lib/lvmsync/sent, in %s, and "+
				"forgotten after a restart: then %s", memory, otherwise))
		}
	}
	return src, nil
}

// openComparison opens what finds by comparing what to send. Of a thin volume in use it's noted
// before what that may be.
func openComparison(ctx context.Context, inv *cli.Invocation, name string,
	open func() (source, error)) (source, error) {
	notes, err := noteCompared(ctx, inv, name)
	if err != nil {
		return source{}, err
	}
	src, err := open()
	if err != nil {
		return src, errors.Join(err, notes.Close())
	}
	src.Source = withNotes(src.Source, notes)
	if err := src.checkVolume(ctx, inv); err != nil {
		return source{}, errors.Join(err, src.Close())
	}
	if src.Sums != nil {
		warnSizes(inv, name, src.Header.VolumeSize, src.Sums.Size())
	} else {
		warnSizes(inv, name, src.Header.VolumeSize, src.Base.Size())
	}
	return src, nil
}

// withNotes is a source with the notes of another one, which is open as long, and checked with it.
func withNotes(src, notes dump.Source) dump.Source {
	check, end := src.Check, src.Close
	src.Header.Source.Noted = notes.Header.Source.Noted
	if notes.Header.State != nil {
		src.Header.State = notes.Header.State
		nameSnapshot(&src.Header.Source, notes.Header.Source)
	}
	src.Check = func(ctx context.Context) error {
		if err := check(ctx); err != nil {
			return err
		}
		return notes.Check(ctx)
	}
	src.Close = func() error { return errors.Join(end(), notes.Close()) }
	return src
}

// nameSnapshot names a snapshot, and the volume that it is of, as another source has them.
func nameSnapshot(s *format.Source, as format.Source) {
	s.VG, s.VGUUID, s.LV, s.LVUUID = as.VG, as.VGUUID, as.LV, as.LVUUID
	s.Snapshot, s.SnapshotUUID, s.Snapshots = as.Snapshot, as.SnapshotUUID, as.Snapshots
}

// noteCompared notes what a comparison may send of a thin volume, which may be read until the
// source that it gives is closed: one that is not active is active until then. Where there is
// nothing to note, that has no notes.
func noteCompared(ctx context.Context, inv *cli.Invocation, name string) (dump.Source, error) {
	none := dump.Source{
		Check: func(context.Context) error { return nil },
		Close: func() error { return nil },
	}
	_, err := devmapper.Resolve(ctx, name)
	inactive := errors.Is(err, devmapper.ErrInactive)
	if !inactive && (err != nil || inv.Bool("dry-run")) || !thin.Named(ctx, name) {
		return none, nil
	}
	c, err := thin.OpenCompared(ctx, name)
	if ctx.Err() != nil {
		return none, ctx.Err()
	}
	if err != nil && inactive {
		return none, err
	}
	if err != nil {
		inv.Warn(fmt.Sprintf("%v: %v: %s", thin.ErrNotNoted, err, startsElsewhere))
		return none, nil
	}
	return noteSent(ctx, inv, c, startsElsewhere, nil)
}
