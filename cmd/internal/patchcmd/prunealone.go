package patchcmd

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"lvmsync/apply"
	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/output"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format/archive"
	"lvmsync/format/archive/retention"
	"lvmsync/format/volume"
)

// An aloneError is about volumes that were left alone, once all else is done.
type aloneError struct {
	message string
	errs    []error
}

func (e *aloneError) Error() string   { return e.message }
func (e *aloneError) Unwrap() []error { return e.errs }

// aloneIn is the error about the volumes that a plan leaves alone; nil: there are none.
func aloneIn(p retention.Plan) error {
	var messages []string
	e := new(aloneError)
	for _, v := range p.Volumes {
		if len(v.Alone) == 0 {
			continue
		}
		message := v.Alone[0].Error()
		if more := len(v.Alone) - 1; more > 0 {
			message += fmt.Sprintf("; %d more like that", more)
		}
		messages = append(messages, message)
		for _, one := range v.Alone {
			e.errs = append(e.errs, one)
		}
	}
	if messages == nil {
		return nil
	}
	e.message = strings.Join(messages, "; ")
	return e
}

// pruneHint says what to do about an error.
func pruneHint(err error) string {
	var alone *aloneError
	switch {
	case errors.Is(err, errNothing):
		return nothingHint
	case errors.Is(err, unix.ENOSPC):
		return "free some space; what was to be merged is as it was"
	case errors.As(err, &alone):
		return alone.hint()
	case errors.Is(err, apply.ErrWrongBase), status(err) == cli.StatusBadPatch:
		return "nothing that it needs was removed: see lvmsync-patch list --check"
	}
	return cmp.Or(output.Hint(err), hint(err))
}

// hint says what to do about the first of what can't be told.
func (e *aloneError) hint() string {
	switch first := e.errs[0]; {
	case errors.Is(first, archive.ErrDoubt):
		return "lvmsync-patch merge compares what it is given; move what is merged to another folder"
	case errors.Is(first, volume.ErrLost):
		return "move the one that is of less use to another folder"
	case archives.IsGap(first):
		return "add what is missing; or move what can't be used without that to another folder"
	case patchfile.IsBad(first):
		return "put a good copy in its place; or move it to another folder if it is of no use"
	}
	return cmp.Or(cli.PermissionHint(e.errs[0]),
		"make it readable; or move it to another folder if it is of no use")
}
