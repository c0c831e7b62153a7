// Package applycmd is the program lvmsync-apply.
package applycmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	ucli "github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
	"lvmsync/format/storage"
)

// Main runs the program and returns its exit status.
func Main(args []string, std cli.Streams) int { return command().Main(args, std) }

func command() *cli.Command {
	return &cli.Command{
		Name:  "lvmsync-apply",
		Usage: "check a patch and replay it onto a block device or image file",
		UsageText: "lvmsync-apply [options] PATCH... DESTINATION\n" +
			"... | lvmsync-apply [options] [-] DESTINATION",
		Description: "Without PATCH, or with -, the patch is read from standard input. A patch in a file\n" +
			"is verified whole before the first write; one from a pipe segment by segment.\n" +
			"Several patches must follow one another, the oldest first: nothing is written\n" +
			"unless they do. A run that was broken off, or has ended, may be repeated as long as\n" +
			"nothing else has been written to DESTINATION since.\n\n" +
			"Exit status: 0 done and durable; 1 failed, 4 bad patch, 5 wrong base: the\n" +
			"destination is as it was; 2 wrong usage; 3 failed, the destination is part-way.",
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "create", Usage: "create DESTINATION as a sparse image file if it does not exist", DisableDefaultText: true},
			&ucli.BoolFlag{Name: "allow-smaller", Usage: "cut off what DESTINATION has no room for", DisableDefaultText: true},
			&ucli.BoolFlag{Name: "force", Usage: "write though DESTINATION is in use, no raw volume, or a full patch's own source; use a damaged undo patch", DisableDefaultText: true},
			&ucli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "check patch and destination, write nothing", DisableDefaultText: true},
			&ucli.StringFlag{Name: "undo", Usage: "save what is overwritten as an undo patch in the new file `FILE`"},
			&ucli.BoolFlag{Name: "verify", Usage: "read everything back from the device and compare", DisableDefaultText: true},
			&ucli.BoolFlag{Name: "no-check-base", Usage: "write whatever DESTINATION holds now", DisableDefaultText: true},
			&ucli.BoolFlag{Name: "trust-order", Usage: "take patches in the order given where only clocks speak against it", DisableDefaultText: true},
			&ucli.BoolFlag{Name: "accept-lost-sectors", Usage: "write zeros for what could not be read when the patch was made", DisableDefaultText: true},
			&ucli.StringFlag{Name: "spool", Usage: "receive and verify a patch from a pipe in `DIR` before the first write"},
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
func openPatch(ctx context.Context, inv *cli.Invocation, path, destination string) (io.Reader, error) {
	f, err := patchfile.Open(ctx, inv, "patch", path)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err == nil {
		if dst, err := os.Stat(destination); err == nil && os.SameFile(st, dst) {
			return nil, cli.Usagef("%s is patch and destination at once", destination)
		}
		if onDestination(f, destination) {
			return nil, cli.Usagef("the patch %s lies on %s, where it would be overwritten while it is read", path, destination)
		}
	}
	return patchfile.Reader(ctx, f), nil
}

// onDestination tells whether the bytes of a patch, in a file or on a device, are the
// destination's under another name: those of a partition of it, or of the file behind it.
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

// summary is what --json prints.
type summary struct {
	Destination     string      `json:"destination"`
	DestinationSize int64       `json:"destination_size"`
	DryRun          bool        `json:"dry_run"`
	Created         bool        `json:"created"`
	Patches         int         `json:"patches"`
	PatchID         string      `json:"patch_id"`
	Kind            format.Kind `json:"kind"`
	VolumeSize      int64       `json:"volume_size"`
	Extents         int64       `json:"extents"`
	DataBytes       int64       `json:"data_bytes"`
	ZeroBytes       int64       `json:"zero_bytes"`
	WrittenBytes    int64       `json:"written_bytes"`
	ZeroedBytes     int64       `json:"zeroed_bytes"`
	RightBytes      int64       `json:"already_right_bytes"`
	CutBytes        int64       `json:"cut_bytes"`
	LostBytes       int64       `json:"lost_bytes,omitempty"`
	Undo            string      `json:"undo,omitempty"`
}

// conclude says what was done.
func conclude(inv *cli.Invocation, o apply.Options, r apply.Report) {
	if r.Header.VolumeSize == 0 {
		return // nothing is known of the patch
	}
	s := summary{
		Destination:     o.Destination,
		DestinationSize: r.DestinationSize,
		DryRun:          o.DryRun,
		Created:         r.Created,
		Patches:         r.Patches,
		PatchID:         r.Header.ID.String(),
		Kind:            r.Header.Kind,
		VolumeSize:      r.Header.VolumeSize,
		Extents:         r.Totals.Extents,
		DataBytes:       r.Totals.DataBytes,
		ZeroBytes:       r.Totals.ZeroBytes,
		WrittenBytes:    r.Written,
		ZeroedBytes:     r.Zeroed,
		RightBytes:      r.Right,
		CutBytes:        r.Cut,
		LostBytes:       r.Lost,
	}
	if r.Undo {
		s.Undo = o.Undo
	}
	inv.Close(closingLine(inv, o, r), s)
}

func closingLine(inv *cli.Invocation, o apply.Options, r apply.Report) string {
	would := ""
	if o.DryRun {
		would = "would be "
	}
	line := fmt.Sprintf("%s: %s %swritten", o.Destination, cli.Bytes(r.Written), would)
	if r.Zeroed > 0 {
		line += fmt.Sprintf(", %s %szeroed", cli.Bytes(r.Zeroed), would)
	}
	if r.Right > 0 {
		line += fmt.Sprintf(", %s already right", cli.Bytes(r.Right))
	}
	if r.Cut > 0 {
		line += fmt.Sprintf(", %s cut off", cli.Bytes(r.Cut))
	}
	if o.Verify && !o.DryRun {
		line += ", all of it read back"
	}
	line += " in " + cli.Seconds(inv.Elapsed())
	switch {
	case r.Undo:
		line += "; " + o.Undo + " takes it back"
	case o.Undo != "" && !o.DryRun:
		line += "; nothing was changed: there is no undo patch"
	}
	return line
}

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
	case errors.Is(err, apply.ErrWrongBase):
		return cli.StatusWrongBase
	}
	return cli.StatusFailed
}

const acceptLost = "make the patch again where its source can be read, or apply this one from its beginning " +
	"with --accept-lost-sectors, which writes zeros there"

// goBack is the command that takes the destination back.
func goBack(e *apply.PartialError) string {
	return "go back: " + cli.ShellLine("lvmsync-apply", e.Undo, e.Destination)
}

// hint says what to do about an error. It proposes nothing that destroys what may be
// somebody's backup: of that the manual speaks.
func hint(err error) string {
	var partial *apply.PartialError
	var order *apply.OrderError
	var alone *apply.AloneError
	var base *apply.BaseError
	var damaged *apply.DamagedUndoError
	var volume *volumeError
	switch {
	case errors.As(err, &damaged):
		return "use a good copy of it; --force takes back what is whole of it, and says how much is missing: " +
			"with it alone, not with several; it overrules a destination in use as well, and names that"
	case errors.As(err, &volume):
		return volume.hint()
	case errors.As(err, &partial) && errors.Is(err, apply.ErrWrongBase):
		next := "apply a full patch"
		if partial.Undo != "" {
			next = goBack(partial)
		}
		return "the patch is not for this destination: " + next + "; with --spool all of it is checked before the first write"
	case errors.As(err, &partial) && errors.Is(err, apply.ErrLost) && partial.Undo != "":
		return acceptLost + "; or " + goBack(partial)
	case errors.Is(err, apply.ErrLost):
		return acceptLost
	case errors.As(err, &partial) && partial.Undo != "":
		return "mend the cause and apply again from the beginning, before anything else is written there, or " + goBack(partial)
	case errors.As(err, &partial) && partial.Durable && partial.Resumable && partial.Through > 0:
		return fmt.Sprintf("mend the cause and apply the patch again from its beginning, before anything else is written there; "+
			"if the source is as it was, the same lvmsync-dump with --start %d sends the rest only", partial.Through)
	case errors.As(err, &partial):
		return "mend the cause and apply again from the beginning, before anything else is written there"
	case errors.As(err, &order), errors.As(err, &alone):
		return patchfile.OrderHint(err)
	case errors.Is(err, apply.ErrUndoExists):
		return "choose another name, or keep this one safe elsewhere: it may be the only way back"
	case errors.Is(err, apply.ErrOnDestination):
		return "keep it on another disk"
	case errors.Is(err, apply.ErrInUse):
		return "check the destination's name, and end what uses it"
	case errors.Is(err, apply.ErrRestore):
		return "check the destination's name; to restore a full patch where it came from use --force"
	case errors.Is(err, apply.ErrOwnSource):
		return "check the destination's name: only a full patch by itself is ever restored to where it came from; " +
			"what takes a volume back is made by lvmsync-dump --reverse"
	case errors.Is(err, apply.ErrTooSmall):
		return "check the destination's name, or make it larger" + larger(err)
	case errors.Is(err, apply.ErrIsPatch):
		return "name the device or image file to write to behind the patches"
	case errors.Is(err, apply.ErrNotRaw):
		return "name a device, or a raw image; qemu-nbd shows what is in an image of another format as a device"
	case errors.Is(err, apply.ErrMissing):
		return "check the name; --create makes an image file of a full patch"
	case errors.Is(err, apply.ErrNeedsFull):
		return "apply a full patch first"
	case errors.As(err, &base) && base.Undo:
		return "apply the undo patches of later runs before it, the newest first; where a power cut tore a sector, " +
			"--no-check-base writes over it, and drops the check of all others, too"
	case errors.Is(err, apply.ErrWrongBase):
		return "apply the patches in between first, or a full one; --no-check-base overrules this, and what comes of it is nobody's copy"
	case errors.Is(err, unix.ENOSPC):
		return "free some space, or choose another folder"
	}
	return patchfile.Hint(err)
}
