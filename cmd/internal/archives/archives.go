// Package archives lets users name a state of an archive, which is a folder of patches.
package archives

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/statename"
	"lvmsync/format/archive"
	"lvmsync/format/container"
)

// Flags are the options that say which state is meant.
func Flags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "at",
			Usage: "of an archive, the newest state that is not later than `TIME`, such as " +
				"2026-11-20 or \"2026-11-20 03:00\""},
		&ucli.StringFlag{Name: "state",
			Usage: "of an archive, the state with the `NAME` of its snapshot or file, or of its " +
				"file under a mount, or the beginning of an id or UUID"},
	}
}

// IsFolder tells whether a path is a folder, and so an archive.
func IsFolder(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// Is tells whether a path is a folder, or a file that is a patch, an archive of one. A signature
// counts, too: it is taken for no image.
func Is(path string) bool {
	if IsFolder(path) {
		return true
	}
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return container.Identify(f, st.Size()).Ours
}

// CheckQuotes refuses a time of day that has come to the arguments, as it does without quotes.
func CheckQuotes(inv *cli.Invocation) error {
	for _, arg := range inv.Args().Slice() {
		_, err := time.Parse("15:04", arg)
		_, err2 := time.Parse("15:04:05", arg)
		_, missing := os.Stat(arg)
		if inv.IsSet("at") && missing != nil && (err == nil || err2 == nil) {
			at := inv.String("at")
			return cli.Usagef("--at %s: quote a time of day with its day: --at \"%s %s\"", at, at,
				arg)
		}
	}
	return nil
}

// Check refuses the options where no archive is named, what says how that is done, and two that
// say different things.
func Check(inv *cli.Invocation, named bool, what string) error {
	for _, name := range []string{"at", "state"} {
		switch {
		case !inv.IsSet(name):
		case !named:
			return cli.Usagef("--%s goes with an archive: %s", name, what)
		case inv.String(name) == "":
			return cli.Usagef("--%s needs a value", name)
		}
	}
	if inv.IsSet("at") && inv.IsSet("state") {
		return cli.Usagef("--at and --state exclude each other")
	}
	if inv.IsSet("at") {
		if _, err := archive.ParseTime(inv.String("at"), time.Local); err != nil {
			return cli.Usagef("--at: %v", err)
		}
	}
	return nil
}

// Select finds the state of the archive at path, a folder or a full patch, that the options mean,
// once Check was content with them.
func Select(ctx context.Context, inv *cli.Invocation, path string) (*archive.Patch, error) {
	a, err := archive.Read(ctx, path)
	if err != nil {
		return nil, err
	}
	// A shell makes the file that standard output goes to beforehand.
	out, err := inv.Std().Out.Stat()
	if err == nil {
		a.Files = slices.DeleteFunc(a.Files, func(f archive.File) bool {
			st, err := os.Stat(f.Path)
			return err == nil && os.SameFile(st, out)
		})
	}
	c := archive.Choice{Name: inv.String("state")}
	if inv.IsSet("at") {
		if c.At, err = archive.ParseTime(inv.String("at"), time.Local); err != nil {
			return nil, err
		}
	}
	for _, f := range a.Files {
		if f.Path == path {
			return nil, fmt.Errorf("%s: %w", path, f.Err)
		}
	}
	p, err := choose(a, c)
	if err != nil {
		return nil, fmt.Errorf("the archive %s: %w", path, err)
	}
	return p, nil
}

// choose finds the state that is meant, which may be named by its file under a mount.
func choose(a *archive.Archive, c archive.Choice) (*archive.Patch, error) {
	found := statename.Find(a, c.Name)
	if len(found) == 0 {
		return a.Select(c)
	}
	for _, p := range found {
		if p.State() != found[0].State() {
			return nil, &archive.SelectError{Err: archive.ErrAmbiguous, Others: found,
				Reason: fmt.Sprintf("%q is the name of several states", c.Name)}
		}
	}
	return a.Select(archive.Choice{Name: found[0].Path})
}

// Names are the files of a chain.
func Names(chain []*archive.Patch) (names []string) {
	for _, p := range chain {
		names = append(names, p.Path)
	}
	return names
}

// WarnCopy tells that a copy of a patch is read in place of the file that had it.
func WarnCopy(inv *cli.Invocation, file, opened string) {
	inv.Warn(fmt.Sprintf("%s can't be used; %s has the same patch, and is taken", file, opened))
}

// Opened are the files of a chain, and the copies that were opened in place of some, of which it
// warns.
func Opened(inv *cli.Invocation, chain []*archive.Patch, opened []string) []string {
	names := Names(chain)
	for i, file := range Names(chain) {
		if opened[i] != file {
			WarnCopy(inv, file, opened[i])
			names = append(names, opened[i])
		}
	}
	return names
}

// IsGap tells whether an error is that patches are missing, or that nobody knows whether they are.
func IsGap(err error) bool {
	return errors.Is(err, archive.ErrGap) || errors.Is(err, archive.ErrDoubt)
}

// Hint says what to do about an error of Select, or nothing.
func Hint(err error) string {
	var e *archive.SelectError
	switch {
	case !errors.As(err, &e):
		return ""
	case errors.Is(err, archive.ErrDoubt):
		return "choose with --state one that is not in doubt"
	case errors.Is(err, archive.ErrAmbiguous):
		return "name one of the states with --state: by its file, or the beginning of its id, as " +
			"\"lvmsync-patch list --json\" has it"
	case len(e.Others) == 0:
		return "\"lvmsync-patch list\" tells what is there"
	case errors.Is(err, archive.ErrNoState):
		return "\"lvmsync-patch list\" tells what is there, and what follows what"
	}
	return "add what is missing or damaged from a good copy; or name an older state with --state"
}
