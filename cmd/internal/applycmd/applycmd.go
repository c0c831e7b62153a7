// Package applycmd is the program lvmsync-apply.
package applycmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	ucli "github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/format"
)

// Main runs the program and returns its exit status.
func Main(args []string, std cli.Streams) int { return command().Main(args, std) }

func command() *cli.Command {
	return &cli.Command{
		Name:  "lvmsync-apply",
		Usage: "check a patch and replay it onto a block device or image file",
		UsageText: "lvmsync-apply [options] PATCH DESTINATION\n" +
			"... | lvmsync-apply [options] [-] DESTINATION",
		Description: "Without PATCH, or with -, the patch is read from standard input. A patch in a file\n" +
			"is verified whole before the first write; one from a pipe segment by segment.\n" +
			"To apply a patch again is always safe.\n\n" +
			"Exit status: 0 done and durable; 1 failed, 4 bad patch, 5 wrong base: the\n" +
			"destination is as it was; 2 wrong usage; 3 failed, the destination is part-way.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "create", Usage: "create DESTINATION as a sparse image file if it does not exist", DisableDefaultText: true},
			&ucli.BoolFlag{Name: "allow-smaller", Usage: "cut off what DESTINATION has no room for", DisableDefaultText: true},
			&ucli.BoolFlag{Name: "force", Usage: "write though DESTINATION is in use, or a full patch's own source", DisableDefaultText: true},
			&ucli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "check patch and destination, write nothing", DisableDefaultText: true},
			&ucli.StringFlag{Name: "spool", Usage: "receive and verify a patch from a pipe in `DIR` before the first write"},
		},
		Run:    run,
		Status: status,
		Hint:   hint,
	}
}

func run(ctx context.Context, inv *cli.Invocation) error {
	patch, destination, err := arguments(inv)
	if err != nil {
		return err
	}
	in, err := openPatch(ctx, inv, patch, destination)
	if err != nil {
		return err
	}
	bar, total := inv.NewBar(), int64(-1)
	o := apply.Options{
		Destination:  destination,
		Create:       inv.Bool("create"),
		AllowSmaller: inv.Bool("allow-smaller"),
		Force:        inv.Bool("force"),
		DryRun:       inv.Bool("dry-run"),
		SpoolDir:     inv.String("spool"),
		System:       system{},
		Warn:         inv.Warn,
		Started: func(h format.Header) {
			inv.Note("%s", describe(h))
			if h.Planned != nil {
				total = h.Planned.Bytes
			}
		},
		Progress: func(stage apply.Stage, done int64) { bar.Set(string(stage), done, total) },
	}
	report, err := apply.Run(ctx, in, o)
	conclude(inv, o, report)
	return err
}

func arguments(inv *cli.Invocation) (patch, destination string, err error) {
	switch args := inv.Args().Slice(); len(args) {
	case 0:
		return "", "", cli.Usagef("no destination given")
	case 1:
		return "-", args[0], nil
	case 2:
		return args[0], args[1], nil
	default:
		return "", "", cli.Usagef("one patch and one destination expected, not %d arguments", len(args))
	}
}

// openPatch opens the patch. Only a regular file can be read twice; everything
// else may be a pipe whose other side is silent.
func openPatch(ctx context.Context, inv *cli.Invocation, path, destination string) (io.Reader, error) {
	f := inv.Std().In
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, fmt.Errorf("open the patch: %w", err)
		}
	} else if inv.InIsTerminal() {
		return nil, cli.Usagef("no patch given: standard input is a terminal")
	}
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open the patch: %w", err)
	}
	if st.IsDir() {
		return nil, fmt.Errorf("open the patch: %s is a folder", path)
	}
	if dst, err := os.Stat(destination); err == nil && os.SameFile(st, dst) {
		return nil, cli.Usagef("%s is patch and destination at once", destination)
	}
	if st.Mode().IsRegular() {
		return f, nil
	}
	return cli.InterruptibleReader(ctx, f), nil
}

// describe tells what a patch says of itself.
func describe(h format.Header) string {
	from := h.Source.Path
	if h.Source.Snapshot != "" {
		from = h.Source.VG + "/" + h.Source.Snapshot
	}
	return fmt.Sprintf("%s patch %s of %s on %s, made %s by %s %s; volume of %s (%d bytes)",
		h.Kind, h.ID, from, h.Host, h.Created.Local().Format("2006-01-02 15:04:05"),
		h.Tool, h.ToolVersion, cli.Bytes(h.VolumeSize), h.VolumeSize)
}

// summary is what --json prints.
type summary struct {
	Destination     string      `json:"destination"`
	DestinationSize int64       `json:"destination_size"`
	DryRun          bool        `json:"dry_run"`
	Created         bool        `json:"created"`
	PatchID         string      `json:"patch_id"`
	Kind            format.Kind `json:"kind"`
	VolumeSize      int64       `json:"volume_size"`
	Extents         int64       `json:"extents"`
	DataBytes       int64       `json:"data_bytes"`
	ZeroBytes       int64       `json:"zero_bytes"`
	CutBytes        int64       `json:"cut_bytes"`
}

// conclude says what was done.
func conclude(inv *cli.Invocation, o apply.Options, r apply.Report) {
	if r.Header.VolumeSize == 0 {
		return // nothing is known of the patch
	}
	verb := "written"
	if o.DryRun {
		verb = "would be written"
	}
	line := fmt.Sprintf("%s: %s %s", o.Destination, cli.Bytes(r.Totals.Bytes()), verb)
	if r.Totals.ZeroBytes > 0 {
		line += fmt.Sprintf(", %s of them zeros,", cli.Bytes(r.Totals.ZeroBytes))
	}
	line += " in " + cli.Seconds(inv.Elapsed())
	if r.Cut > 0 {
		line += fmt.Sprintf("; %s cut off", cli.Bytes(r.Cut))
	}
	inv.Close(line, summary{
		Destination:     o.Destination,
		DestinationSize: r.DestinationSize,
		DryRun:          o.DryRun,
		Created:         r.Created,
		PatchID:         r.Header.ID.String(),
		Kind:            r.Header.Kind,
		VolumeSize:      r.Header.VolumeSize,
		Extents:         r.Totals.Extents,
		DataBytes:       r.Totals.DataBytes,
		ZeroBytes:       r.Totals.ZeroBytes,
		CutBytes:        r.Cut,
	})
}

// status is the exit status for an error.
func status(err error) int {
	var partial *apply.PartialError
	switch {
	case errors.As(err, &partial):
		return cli.StatusPartial
	case errors.Is(err, format.ErrNotPatch), errors.Is(err, format.ErrVersion),
		errors.Is(err, format.ErrFeature), errors.Is(err, format.ErrCorrupt):
		return cli.StatusBadPatch
	case errors.Is(err, apply.ErrWrongBase):
		return cli.StatusWrongBase
	}
	return cli.StatusFailed
}

// hint says what to do about an error.
func hint(err error) string {
	var partial *apply.PartialError
	switch {
	case errors.As(err, &partial):
		return "mend the cause and apply the patch again from its beginning: that is always safe"
	case errors.Is(err, apply.ErrInUse):
		return "end what uses it; --force overrules this and destroys what others write there"
	case errors.Is(err, apply.ErrOwnSource):
		return "check the destination's name; to restore a full patch where it came from use --force"
	case errors.Is(err, apply.ErrTooSmall):
		return "make it larger (lvextend, truncate), or cut off the volume's end with --allow-smaller"
	case errors.Is(err, apply.ErrMissing):
		return "check the name; --create makes an image file of a full patch"
	case errors.Is(err, apply.ErrWrongBase):
		return "apply a full patch first"
	case errors.Is(err, format.ErrNotPatch):
		return "patches are made by lvmsync-dump; if it failed on the other side, its message says why"
	case errors.Is(err, format.ErrTruncated):
		return "the sender stopped early or the copy is not complete: send the patch again"
	case errors.Is(err, format.ErrVersion), errors.Is(err, format.ErrFeature):
		return "install a newer lvmsync here"
	case errors.Is(err, format.ErrCorrupt):
		return "copy or send the patch again"
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return "run as root"
	case errors.Is(err, unix.ENOSPC):
		return "free some space, or choose another folder"
	}
	return ""
}
