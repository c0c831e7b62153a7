// Package applycmd is the program lvmsync-apply.
package applycmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	ucli "github.com/urfave/cli/v2"
	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
	"lvmsync/format/storage"
)

// Main runs the program and returns its exit status.
func Main(args []string, std cli.Streams) int { return command().Main(args, std) }

const description = "" +
	`Without PATCH, or with -, the patch is read from standard input. A patch in a file
is verified whole before the first write; one from a pipe segment by segment.
Several patches must follow one another, the oldest first: nothing is written
unless they do. A run that was broken off, or has ended, may be repeated as long as
nothing else has been written to DESTINATION since.

Exit status: 0 done and durable; 1 failed, 4 bad patch, 5 wrong base: the
destination is as it was; 2 wrong usage; 3 failed, the destination is part-way.`

func command() *cli.Command {
	return &cli.Command{
		Name:  "lvmsync-apply",
		Usage: "check a patch and replay it onto a block device or image file",
		UsageText: "lvmsync-apply [options] PATCH... DESTINATION\n" +
			"... | lvmsync-apply [options] [-] DESTINATION",
		Description: description,
		Flags: []ucli.Flag{
			cli.Switch("create", "create DESTINATION as a sparse image file if it does not exist"),
			cli.Switch("allow-smaller", "cut off what DESTINATION has no room for"),
			cli.Switch("force", "write though DESTINATION is in use, no raw volume, or a full "+
				"patch's own source; use a damaged undo patch"),
			cli.Switch("dry-run", "check patch and destination, write nothing", "n"),
			&ucli.StringFlag{Name: "undo",
				Usage: "save what is overwritten as an undo patch in the new file `FILE`"},
			cli.Switch("verify", "read everything back from the device and compare"),
			cli.Switch("no-check-base", "write whatever DESTINATION holds now"),
			cli.Switch("trust-order", "take patches in the order given where only clocks speak "+
				"against it"),
			cli.Switch("accept-lost-sectors",
				"write zeros for what could not be read when the patch was made"),
			&ucli.StringFlag{Name: "spool",
				Usage: "receive and verify a patch from a pipe in `DIR` before the first write"},
		},
		Run:    run,
		Status: status,
		Hint:   hint,
	}
}

func run(ctx context.Context, inv *cli.Invocation) error {
	names, destination, err := arguments(inv)
	if err != nil {
		return err
	}
	var patches []apply.Patch
	for _, name := range names {
		in, err := openPatch(ctx, inv, name, destination)
		if err != nil {
			return err
		}
		patches = append(patches, apply.Patch{Name: patchfile.Shown(name), Reader: in})
	}
	bar, total := inv.NewBar(), int64(-1)
	o := apply.Options{
		Destination:  destination,
		Create:       inv.Bool("create"),
		AllowSmaller: inv.Bool("allow-smaller"),
		Force:        inv.Bool("force"),
		NoCheckBase:  inv.Bool("no-check-base"),
		TrustOrder:   inv.Bool("trust-order"),
		AcceptLost:   inv.Bool("accept-lost-sectors"),
		DryRun:       inv.Bool("dry-run"),
		Verify:       inv.Bool("verify"),
		SpoolDir:     inv.String("spool"),
		Undo:         inv.String("undo"),
		Tool:         inv.App.Name,
		ToolVersion:  cli.Version,
		Warn:         inv.Warn,
		Started: func(headers []format.Header) {
			for _, h := range headers {
				inv.Note("%s", patchfile.Describe(h))
			}
			if h := headers[0]; len(headers) == 1 && h.Planned != nil {
				total = h.Planned.Bytes
			}
		},
		Progress: func(stage apply.Stage, done int64) { bar.Set(string(stage), done, total) },
	}
	report, err := apply.Run(ctx, patches, o)
	conclude(inv, o, report)
	return patchfile.WithLine(inv, []string{destination}, about(inv, names, destination, err))
}

func arguments(inv *cli.Invocation) (patches []string, destination string, err error) {
	args := inv.Args().Slice()
	if len(args) == 0 {
		return nil, "", cli.Usagef("no destination given")
	}
	destination = args[len(args)-1]
	if patches, err = patchfile.Names(args[:len(args)-1]); err != nil {
		return nil, "", err
	}
	if inv.NArg() == 1 && inv.InIsTerminal() && isPatch(destination) {
		return nil, "", fmt.Errorf("%s is a patch, %w", destination, apply.ErrIsPatch)
	}
	for _, name := range []string{"undo", "spool"} {
		if inv.IsSet(name) && inv.String(name) == "" {
			return nil, "", cli.Usagef("--%s needs a name", name)
		}
	}
	return patches, destination, nil
}

// openPatch opens the patch, which must not be the destination.
func openPatch(ctx context.Context, inv *cli.Invocation,
	path, destination string) (io.Reader, error) {
	f, err := patchfile.Open(ctx, inv, "patch", path)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err == nil {
		if dst, err := os.Stat(destination); err == nil && os.SameFile(st, dst) {
			return nil, cli.Usagef("%s is patch and destination at once", destination)
		}
		if onDestination(f, destination) {
			return nil, cli.Usagef("the patch %s lies on %s, where it would be overwritten while "+
				"it is read", path, destination)
		}
	}
	return patchfile.Reader(ctx, f), nil
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
