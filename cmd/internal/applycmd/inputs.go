package applycmd

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"lvmsync/apply"
	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/storage"
)

// inputs are what the arguments name.
type inputs struct {
	names       []string // of the patches
	archive     string   // that they are of; empty: they were named
	state       *archive.Patch
	destination string
}

func arguments(inv *cli.Invocation) (in *inputs, err error) {
	if err := archives.CheckQuotes(inv); err != nil {
		return nil, err
	}
	args := inv.Args().Slice()
	if len(args) == 0 {
		return nil, cli.Usagef("no destination given")
	}
	in = &inputs{destination: args[len(args)-1]}
	if in.names, err = patchfile.Names(args[:len(args)-1]); err != nil {
		return nil, err
	}
	if inv.NArg() == 1 && inv.InIsTerminal() && isPatch(in.destination) {
		return nil, fmt.Errorf("%s is a patch, %w", in.destination, apply.ErrIsPatch)
	}
	if inv.NArg() == 1 && archives.IsFolder(in.destination) {
		return nil, cli.Usagef("no destination given: %s is a folder, which is restored to what "+
			"is named behind it", in.destination)
	}
	if inv.NArg() > 1 && isSwapped(args[0], in.destination) {
		return nil, cli.Usagef("%s is to be written to, but is no volume, and %s is no patch: "+
			"DESTINATION comes last", in.destination, args[0])
	}
	for _, name := range []string{"undo", "spool"} {
		if inv.IsSet(name) && inv.String(name) == "" {
			return nil, cli.Usagef("--%s needs a name", name)
		}
	}
	if i := slices.IndexFunc(in.names, archives.IsFolder); i >= 0 {
		in.archive = in.names[i]
	}
	if in.archive != "" && len(in.names) > 1 {
		return nil, cli.Usagef("%s is a folder, an archive: name that by itself, or patches",
			in.archive)
	}
	return in, archives.Check(inv, in.archive != "", "name a folder of patches as the only one")
}

// isSwapped tells whether patches seem to be named behind what they are to be written to.
func isSwapped(first, last string) bool {
	st, err := os.Stat(first)
	return err == nil && (st.Mode().IsRegular() || st.Mode().Type() == fs.ModeDevice) &&
		!isPatch(first) && (archives.IsFolder(last) || archives.Is(last))
}

// open opens the patches, and those of an archive by what state is meant. None may be the
// destination.
func (in *inputs) open(ctx context.Context, inv *cli.Invocation) (patches []apply.Patch,
	err error) {
	var chain []*archive.Patch
	if in.archive != "" {
		if in.state, err = archives.Select(ctx, inv, in.archive); err != nil {
			return nil, err
		}
		chain = in.state.Chain()
		in.names = archives.Names(chain)
		inv.Say(fmt.Sprintf("%s: restores the state of %v, from %s", in.destination, in.state,
			strings.Join(in.names, ", ")))
	}
	for i, name := range in.names {
		var f *os.File
		if chain != nil {
			if f, err = chain[i].OpenFile(); err == nil && f.Name() != name {
				archives.WarnCopy(inv, name, f.Name())
				name, in.names[i] = f.Name(), f.Name()
			}
		} else {
			f, err = patchfile.Open(ctx, inv, "patch", name)
		}
		if err == nil {
			err = checkPlace(f, name, in.destination)
		}
		if err != nil {
			return nil, err
		}
		patches = append(patches, apply.Patch{Name: patchfile.Shown(name),
			Reader: patchfile.Reader(ctx, f)})
	}
	return patches, nil
}

// checkPlace makes sure that a patch is not the destination.
func checkPlace(f *os.File, path, destination string) error {
	st, err := f.Stat()
	if err != nil {
		return nil
	}
	if dst, err := os.Stat(destination); err == nil && os.SameFile(st, dst) {
		return cli.Usagef("%s is patch and destination at once", destination)
	}
	if onDestination(f, destination) {
		return cli.Usagef("the patch %s lies on %s, where it would be overwritten while it is read",
			path, destination)
	}
	return nil
}

// onDestination tells whether the bytes of a patch, in a file or on a device, are the destination's
// under another name: those of a partition of it, or of the file behind it.
func onDestination(patch *os.File, destination string) bool {
	if !cli.IsStored(patch) {
		return false
	}
	places := func(path string) []format.Place {
		id, err := storage.Identify(path)
		if err != nil {
			return nil
		}
		return storage.Describe(path, id).Storage
	}
	dst := places(destination)
	return slices.ContainsFunc(places(patch.Name()), func(p format.Place) bool {
		return slices.ContainsFunc(dst, p.Overlaps)
	})
}
