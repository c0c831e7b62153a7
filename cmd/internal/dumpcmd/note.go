package dumpcmd

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin"
)

// startsElsewhere is what to do about a copy of a volume of which it isn't noted what it may hold.
const startsElsewhere = "apply nothing to this copy that starts from a snapshot which is there " +
	"already"

// noteSent has noted what will be sent, or warns of what follows if it can't be.
func noteSent(ctx context.Context, inv *cli.Invocation, s *thin.Changes,
	otherwise string) error {
	if inv.Bool("dry-run") {
		return nil
	}
	err := s.NoteSent(ctx)
	switch {
	case errors.Is(err, thin.ErrNotNoted):
		inv.Warn(fmt.Sprintf("%v: %s", err, otherwise))
	case err != nil:
		return err
	case len(s.Noted()) > 0:
		if memory := thin.NotesInMemory(); memory != "" {
			inv.Warn(fmt.Sprintf("what is sent is noted in /var/lib/lvmsync/sent, in %s, and "+
				"forgotten after a restart: then %s", memory, otherwise))
		}
	}
	return nil
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
	if notes == nil {
		return src, err
	}
	if err != nil {
		return src, errors.Join(err, notes.Close())
	}
	end := src.Close
	src.Header.Source.Noted = notes.Noted()
	src.Close = func() error { return errors.Join(end(), notes.Close()) }
	return src, nil
}

// noteCompared has noted what a comparison may send of a thin volume, which may be read until it's
// closed; nil: there is nothing to note.
func noteCompared(ctx context.Context, inv *cli.Invocation, name string) (*thin.Changes, error) {
	_, err := devmapper.Resolve(ctx, name)
	if err != nil || inv.Bool("dry-run") || !thin.Named(ctx, name) {
		return nil, nil // what is not active is not activated for this
	}
	s, err := thin.OpenCompared(ctx, name)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		inv.Warn(fmt.Sprintf("%v: %v: %s", thin.ErrNotNoted, err, startsElsewhere))
		return nil, nil
	}
	if err := noteSent(ctx, inv, s, startsElsewhere); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}
