package patchcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/durable"
)

const listDescription = "" +
	`Each FOLDER is looked through for patches, but not the folders in it. Which patch
follows which, and what can be restored, is told by their headers; of the rest nothing
but their ends is read, unless --check is given. What is damaged, unfinished or no patch
is listed, too. With --json all of it is one JSON object on standard output.

` + exitStatuses + `; 4 a patch is truncated or corrupt, or what was
named is none; 5 patches are missing that others follow.`

func listCommand() *cli.Command {
	return &cli.Command{
		Name:        "list",
		Usage:       "tell what lies in a folder of patches, and what can be restored",
		UsageText:   "lvmsync-patch list [options] FOLDER|PATCH...",
		Description: listDescription,
		Flags: []ucli.Flag{
			cli.Switch("check", "read each patch to its end and check all that is in it"),
		},
		Run:    list,
		Status: status,
		Hint:   listHint,
	}
}

// A listError is what was found wrong with an archive that has been listed.
type listError struct {
	message string
	copied  bool  // of each file that is no whole patch there is another one
	kind    error // what it is like for the exit status
}

func (e *listError) Error() string { return e.message }
func (e *listError) Unwrap() error { return e.kind }

var errUnreadable = errors.New("a file could not be read")

func list(ctx context.Context, inv *cli.Invocation) error {
	if inv.NArg() == 0 {
		return cli.Usagef("no folder or patch given")
	}
	args := inv.Args().Slice()
	// What is read of ten thousand headers is small, and mostly garbage: to look for that as often
	// as where memory matters more takes a third of the time.
	percent := debug.SetGCPercent(75)
	a, err := archive.Read(ctx, args...)
	debug.SetGCPercent(percent)
	if err == nil && inv.Bool("check") {
		a, err = checked(ctx, inv, a)
	}
	if err != nil {
		return err
	}
	l := listing{Archive: a, checked: inv.Bool("check"), empty: emptyOf(a, args)}
	if len(args) == 1 && isFolder(args[0]) {
		l.folder = args[0]
	}
	text := []byte(l.text())
	if inv.Bool("json") {
		if text, err = cli.JSON(l.object()); err != nil {
			return err
		}
		text = append(text, '\n')
	}
	if _, err = inv.Out().Write(text); err != nil {
		return err
	}
	return l.wrong(args)
}

// emptyOf is the first of the folders in which there is no patch, not even a damaged one.
func emptyOf(a *archive.Archive, folders []string) string {
	held := make(map[string]bool)
	for _, v := range a.Volumes {
		for _, p := range patchesOf(v) {
			held[filepath.Dir(p.Path)] = true
		}
	}
	for _, f := range a.Files {
		if f.Status != archive.Foreign && f.Status != archive.Unfinished {
			held[filepath.Dir(f.Path)] = true
		}
	}
	for _, folder := range folders {
		if isFolder(folder) && !held[filepath.Clean(folder)] {
			return folder
		}
	}
	return ""
}

const nothingHint = "check its name, and that what should be mounted there is"

func isFolder(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// checked reads all patches to their ends, and copies of them. Upon one that isn't right nothing is
// built: a copy that is takes its place.
func checked(ctx context.Context, inv *cli.Invocation,
	a *archive.Archive) (*archive.Archive, error) {
	var patches []*archive.Patch
	var files []archive.File
	total := int64(0)
	for _, v := range a.Volumes {
		patches = append(patches, patchesOf(v)...)
	}
	for _, f := range a.Files {
		if f.Copy != nil {
			patches = append(patches, f.Copy)
		} else {
			files = append(files, f)
		}
	}
	for _, p := range patches {
		total += p.Totals.Bytes()
	}
	bar, before := inv.NewBar(), int64(0)
	defer bar.Clear()
	patches = slices.DeleteFunc(patches, func(p *archive.Patch) bool {
		err := check(ctx, inv, p, func(done int64) { bar.Set("verifying", before+done, total) })
		before += p.Totals.Bytes()
		if err != nil {
			files = append(files, p.Broken(err))
		}
		return err != nil
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a = archive.New(patches)
	a.Add(files...)
	return a, nil
}

// check reads a patch to its end.
func check(ctx context.Context, inv *cli.Invocation, p *archive.Patch, progress func(int64)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.Open(p.Path)
	if err != nil {
		return durable.Cause(err)
	}
	defer f.Close()
	patch := apply.Patch{Name: p.Path, Reader: patchfile.Reader(ctx, f)}
	v, err := apply.Read(ctx, patch, apply.ReadOptions{
		Warn:     func(message string) { inv.Warn(p.Path + ": " + message) },
		Progress: func(_ apply.Stage, done int64) { progress(done) },
	}, func(*format.Segment) {})
	if err == nil && (v.Header.ID != p.Header.ID || !p.NoEnd && v.Totals != p.Totals) {
		err = errors.New("it changed while it was read")
	}
	return err
}

// A listing is an archive as it is told of.
type listing struct {
	*archive.Archive
	folder  string // whose files have their names only; empty: names are paths
	checked bool
	empty   string // the first folder without a patch
}

// wrong is the error about what is wrong, the worst first, once all has been told.
func (l listing) wrong(args []string) error {
	bad, copied, unreadable, gaps, foreign := 0, 0, 0, 0, 0
	for _, f := range l.Files {
		switch f.Status {
		case archive.Truncated, archive.Damaged, archive.Newer:
			bad++
			if f.Same != nil {
				copied++
			}
		case archive.Unreadable:
			unreadable++
		case archive.Foreign:
			if slices.Contains(args, f.Path) {
				foreign++
			}
		case archive.Unfinished:
			if slices.Contains(args, f.Path) {
				bad++
			}
		}
	}
	for _, v := range l.Volumes {
		gaps += len(v.Gaps())
	}
	switch {
	case bad > 0:
		return &listError{message: few(bad, "file is no whole patch", "files are no whole patches"),
			copied: bad == copied, kind: format.ErrCorrupt}
	case foreign > 0:
		return &listError{kind: format.ErrNotPatch, message: few(foreign,
			"file that was named is no patch", "files that were named are no patches")}
	case unreadable > 0:
		return &listError{message: few(unreadable, "file", "files") + " could not be read",
			kind: errUnreadable}
	case l.empty != "":
		return &listError{message: "there is no patch in " + l.empty, kind: errNothing}
	case gaps > 0:
		return &listError{message: few(gaps, "patch follows", "patches follow") +
			" what is not there", kind: apply.ErrWrongBase}
	}
	return nil
}

func few(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// listHint says what to do about it.
func listHint(err error) string {
	var found *listError
	switch {
	case !errors.As(err, &found):
		return hint(err)
	case found.copied:
		return "put in the place of each the file that has the same patch, as the list says"
	case errors.Is(err, format.ErrNotPatch):
		return "name patches, or folders of them"
	case errors.Is(err, errNothing):
		return nothingHint
	case errors.Is(err, format.ErrCorrupt):
		return "copy or send them again; without them, what follows them can't be restored"
	case errors.Is(err, apply.ErrWrongBase):
		return "add the patches that are missing, or a full one; " +
			"what follows them can only be applied to what they start from"
	}
	return ""
}
