// Package applycmd is the program lvmsync-apply.
package applycmd

import (
	"context"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/apply"
	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
)

// Main runs the program and returns its exit status.
func Main(args []string, std cli.Streams) int { return command().Main(args, std) }

const description = "" +
	`ARCHIVE is a folder of patches: its newest state is restored, unless --at or --state
says which. Without PATCH, or with -, the patch is read from standard input. A patch
in a file is verified whole before the first write; one from a pipe segment by segment.
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
			"lvmsync-apply [options] ARCHIVE DESTINATION\n" +
			"... | lvmsync-apply [options] [-] DESTINATION",
		Description: description,
		Flags: append(archives.Flags(),
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
		),
		Run:    run,
		Status: status,
		Hint:   hint,
	}
}

func run(ctx context.Context, inv *cli.Invocation) error {
	in, err := arguments(inv)
	if err != nil {
		return err
	}
	patches, err := in.open(ctx, inv)
	if err != nil {
		return withLine(inv, in.destination, err)
	}
	bar, total := inv.NewBar(), int64(-1)
	o := apply.Options{
		Destination:  in.destination,
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
	conclude(inv, o, report, in.state)
	return patchfile.WithLine(inv, []string{in.destination}, about(inv, in, err))
}
