package applycmd

import (
	"cmp"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"lvmsync/apply"
	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format/archive"
)

// status is the exit status for an error.
func status(err error) int {
	var partial *apply.PartialError
	switch {
	case errors.Is(err, cli.ErrReport):
		return cli.StatusOK // which is about the destination: that is as it shall be
	case errors.As(err, &partial):
		return cli.StatusPartial
	case patchfile.IsBad(err), errors.Is(err, apply.ErrLost):
		return cli.StatusBadPatch
	case errors.Is(err, apply.ErrWrongBase), archives.IsGap(err):
		return cli.StatusWrongBase
	}
	return cli.StatusFailed
}

const acceptLost = "make the patch again where its source can be read, or apply this one from " +
	"its beginning with --accept-lost-sectors, which writes zeros there"

// goBack is the command that takes the destination back.
func goBack(e *apply.PartialError) string {
	return "go back: lvmsync-apply " + cli.ShellNames(e.Undo, e.Destination)
}

// hint says what to do about an error. It proposes nothing that destroys what may be somebody's
// backup: of that the manual speaks.
func hint(err error) string {
	var partial *apply.PartialError
	var base *apply.BaseError
	var damaged *apply.DamagedUndoError
	var volume *volumeError
	switch {
	case errors.As(err, &damaged):
		return "use a good copy of it; --force takes back what is whole of it, and says how much " +
			"is missing: with it alone, not with several; it overrules a destination in use as " +
			"well, and names that"
	case errors.As(err, &volume):
		return volume.hint()
	case errors.As(err, &partial):
		return partialHint(partial, err)
	case errors.Is(err, apply.ErrLost):
		return acceptLost
	case errors.Is(err, apply.ErrTooSmall):
		return "check the destination's name, or make it larger" + larger(err)
	case errors.As(err, &base) && base.Undo:
		return "apply the undo patches of later runs before it, the newest first; where a power " +
			"cut tore a sector, --no-check-base writes over it, and drops the check of all " +
			"others, too"
	}
	return cmp.Or(chainHint(err), archives.Hint(err), patchfile.OrderHint(err), advice.For(err),
		patchfile.Hint(err))
}

// partialHint says what to do about a destination that is part-way because of err.
func partialHint(partial *apply.PartialError, err error) string {
	switch {
	case errors.Is(err, apply.ErrWrongBase):
		next := "apply a full patch"
		if partial.Undo != "" {
			next = goBack(partial)
		}
		return "the patch is not for this destination: " + next +
			"; with --spool all of it is checked before the first write"
	case errors.Is(err, apply.ErrLost) && partial.Undo != "":
		return acceptLost + "; or " + goBack(partial)
	case errors.Is(err, apply.ErrLost):
		return acceptLost
	case partial.Undo != "":
		return "mend the cause and apply again from the beginning, before anything else is " +
			"written there, or " + goBack(partial)
	case partial.Durable && partial.Resumable && partial.Through > 0:
		return fmt.Sprintf("mend the cause and apply the patch again from its beginning, before "+
			"anything else is written there; if the source is as it was, the same lvmsync-dump "+
			"with --start %d sends the rest only", partial.Through)
	}
	return "mend the cause and apply again from the beginning, before anything else is written " +
		"there"
}

// A chainError is about a state of an archive that can't be restored from that alone.
type chainError struct {
	error
	line string // that applies the patches by name
}

func (e *chainError) Unwrap() error { return e.error }

// withLine lets chainHint propose the command line, without what chooses a state.
func withLine(inv *cli.Invocation, destination string, err error) error {
	var e *archive.SelectError
	if !errors.As(err, &e) || len(e.Others) > 0 || !errors.Is(err, archive.ErrGap) {
		return err
	}
	return &chainError{err, inv.Line(append(archives.Names(e.Chain), destination), "at", "state")}
}

// chainHint says how deltas are applied whose base lies elsewhere.
func chainHint(err error) string {
	var chain *chainError
	switch {
	case errors.Is(err, archive.ErrDoubt):
		return "if you know which patches lead there, name them instead of the folder, or " +
			"another state with --state"
	case !errors.As(err, &chain):
		return ""
	}
	return "add the full patch; a destination that holds what the first of them starts from " +
		"takes them by name: " + chain.line
}

// advice is what to do about a destination that is as it was.
var advice = cli.Advice{
	{apply.ErrUndoExists, "choose another name, or keep this one safe elsewhere: it may be the " +
		"only way back"},
	{apply.ErrOnDestination, "keep it on another disk"},
	{apply.ErrInUse, "check the destination's name, and end what uses it"},
	{apply.ErrRestore, "check the destination's name; to restore a full patch where it came from " +
		"use --force"},
	{apply.ErrOwnSource, "check the destination's name: only a full patch by itself is ever " +
		"restored to where it came from; what takes a volume back is made by lvmsync-dump " +
		"--reverse"},
	{apply.ErrIsPatch, "name the device or image file to write to behind the patches"},
	{apply.ErrNotRaw, "name a device, or a raw image; qemu-nbd shows what is in an image of " +
		"another format as a device"},
	{apply.ErrNotCreated, "check the name; --create makes an image file of a full patch"},
	{apply.ErrMissing, "check the name"},
	{apply.ErrNeedsFull, "apply a full patch first"},
	{apply.ErrWrongBase, "apply the patches in between first, or a full one; --no-check-base " +
		"overrules this, and what comes of it is nobody's copy"},
	{unix.ENOSPC, "free some space, or choose another folder"},
}
