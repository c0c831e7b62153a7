// Package output writes what a program makes to standard output, or to the file that the option -o
// names.
package output

import (
	"context"
	"errors"
	"fmt"
	"io"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump"
	"lvmsync/format/durable"
	"lvmsync/format/storage"
)

// Flag is the option for it. What is "patch" or the like.
func Flag(what string) ucli.Flag {
	return &ucli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the " + what +
		" to `FILE`, which appears whole or not at all"}
}

// Check checks how the program was called: what is made is not for a terminal.
func Check(inv *cli.Invocation, what string) error {
	switch {
	case inv.IsSet("output") && inv.String("output") == "":
		return cli.Usagef("--output needs the name of a file")
	case isDescriptor(inv) && !toStdout(inv):
		return cli.Usagef("--output %s is an open file of this program, which can't appear "+
			"whole: use standard output", inv.String("output"))
	case toStdout(inv) && inv.OutIsTerminal():
		return cli.Usagef("a %s is not written to a terminal: use -o FILE or a pipe", what)
	}
	return nil
}

func isDescriptor(inv *cli.Invocation) bool {
	_, ok := descriptor(inv.String("output"))
	return inv.IsSet("output") && ok
}

func toStdout(inv *cli.Invocation) bool {
	if !inv.IsSet("output") || inv.String("output") == "-" {
		return true
	}
	fd, ok := descriptor(inv.String("output"))
	return ok && fd == int(inv.Std().Out.Fd())
}

// Write has do write what is a "patch" or the like. A file is durable then, and is there only if do
// succeeds; what is written to must share storage with none of the sources, which are the inputs
// and what else is read. Whether standard output has arrived is checked in the end.
func Write(ctx context.Context, inv *cli.Invocation, what string, inputs dump.Inputs,
	sources []string, do func(io.Writer) error) error {
	if toStdout(inv) {
		if id, err := storage.IdentifyFile(inv.Std().Out); err == nil && isSource(id, sources) {
			return cli.Usagef("standard output is source and output at once: write elsewhere")
		} else if err == nil && !id.Device {
			warnPlace(inv, inputs, fmt.Sprintf("/proc/self/fd/%d", inv.Std().Out.Fd()),
				"standard output")
		}
		return do(inv.Out())
	}
	path := inv.String("output")
	if id, err := storage.Identify(path); err == nil && isSource(id, sources) {
		return cli.Usagef("%s is source and output at once: choose another name for -o", path)
	}
	lock, err := lockFor(inv, path)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	out, err := dump.CreateOutput(what, path)
	if err != nil {
		return err
	}
	if err = checkOld(ctx, what, path); err == nil {
		warnPlace(inv, inputs, folderOf(path), path)
		err = do(out)
	}
	if err == nil {
		err = out.Commit()
	} else if cleanupErr := out.Cleanup(); cleanupErr != nil {
		err = fmt.Errorf("%w; then %w", err, cleanupErr)
	}
	if err != nil && out.Removed() {
		err = &removedError{err}
	}
	return err
}

// isSource tells whether what is written to a file or device would change what is read.
func isSource(out storage.ID, sources []string) bool {
	written, err := storage.Of(out)
	for _, p := range sources {
		id, err2 := storage.Identify(p)
		if err2 != nil {
			continue
		}
		if id == out {
			return true
		}
		if of, err2 := storage.Of(id); err == nil && err2 == nil && written.Overlaps(of) {
			return true
		}
	}
	return false
}

// A removedError is one of a file of which nothing is left.
type removedError struct{ error }

func (e *removedError) Unwrap() error { return e.error }

// Hint says what to do about a place where nothing can be written, or nothing.
func Hint(err error) string {
	var removed *removedError
	var inUse *FolderInUseError
	switch {
	case errors.As(err, &inUse):
		return "try again when it has ended"
	case errors.Is(err, errNotSuch):
		return "choose another name, or remove it"
	case errors.Is(err, errFollowed):
		return "choose another name, or remove what follows it"
	case errors.Is(err, dump.ErrOutputInUse):
		return "choose another name, or end what uses it"
	case errors.Is(err, dump.ErrNoFile), errors.Is(err, durable.ErrMountPoint):
		return "what shall be written there goes to standard output: >NAME"
	case !cli.IsFull(err):
		return ""
	case errors.As(err, &removed):
		return "free some space, or write it elsewhere; nothing is left of the unfinished one"
	}
	return "free some space"
}
