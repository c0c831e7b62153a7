// Package dumpcmd is the program lvmsync-dump.
package dumpcmd

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/google/uuid"
	ucli "github.com/urfave/cli/v2"

	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/output"
	"lvmsync/dump"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin"
	"lvmsync/format"
	"lvmsync/format/follow"
)

// ballastSize is how much memory is claimed and never touched, in bytes, so that it takes none of
// the machine's: the collector counts it, and does not run for each of the few MiB of buffers that
// a dump begins with.
const ballastSize = 16 << 20

// Main runs the program and returns its exit status.
func Main(args []string, std cli.Streams) int { return command().Main(args, std) }

const usageText = `lvmsync-dump [options] SNAPSHOT             what changed on its origin since
lvmsync-dump [options] --to NEWER SNAPSHOT  what changed from one snapshot to another
lvmsync-dump [options] --reverse SNAPSHOT   what takes its origin back to it
lvmsync-dump [options] --full DEVICE        all of a device, image file or snapshot
lvmsync-dump [options] --base OLD DEVICE    what differs from another device or image file
lvmsync-dump [options] --base ARCHIVE DEVICE  what differs from a folder of patches
lvmsync-dump [options] --signature SIG DEVICE  what differs from a volume elsewhere
lvmsync-dump [options] --cow COW ORIGIN     what a COW store lists, without LVM`

const description = "" +
	`The patch goes to standard output unless -o is given. SNAPSHOT and DEVICE are named
as for LVM: vg/lv, /dev/vg/lv, /dev/mapper/vg-lv, /dev/dm-7.

Exit status: 0 the patch is whole; 1 failed: what was written has no trailer, and
lvmsync-apply refuses it; 2 wrong usage; 4 the signature, or a patch of the archive, is
none, truncated or corrupt; 5 patches of the archive are missing, or it is of another
volume.`

func command() *cli.Command {
	return &cli.Command{
		Name:        "lvmsync-dump",
		Usage:       "write what changed on a logical volume since a snapshot as a patch",
		UsageText:   usageText,
		Description: description,
		Flags: append([]ucli.Flag{
			cli.Switch("full", "dump the whole of DEVICE"),
			&ucli.StringFlag{Name: "to", Usage: "send what the snapshot `NEWER` holds instead of " +
				"the origin, which may be in use"},
			cli.Switch("reverse", "send what SNAPSHOT holds: a patch that takes its origin back"),
			&ucli.StringFlag{Name: "cow",
				Usage: "read the changes from the COW store `COW`, a device or file"},
			cli.Switch("exact-base", "leave out blocks that equal the snapshot: the destination "+
				"is a bit-exact copy of it"),
			&ucli.StringFlag{Name: "base",
				Usage: "compare DEVICE with the device or image file `OLD`, or with the newest " +
					"state of an archive: a folder of patches, or a full patch"},
			&ucli.StringFlag{Name: "signature",
				Usage: "compare DEVICE with the signature in the file `SIG` (-: standard input), " +
					"see lvmsync-patch(8)"},
			&ucli.StringFlag{Name: "block-size", Value: "4k",
				Usage: "with --base, compare in blocks of `SIZE` bytes: a power of two from 512 " +
					"to 1M"},
			&ucli.StringFlag{Name: "start", Value: "0",
				Usage: "leave out what lies before byte `OFFSET`, which the destination has " +
					"already"},
			&ucli.StringFlag{Name: "bwlimit",
				Usage: "write no more than `RATE` bytes a second, such as 10M"},
			output.Flag("patch"),
			&ucli.IntFlag{Name: "level", Value: 1,
				Usage: "compression `LEVEL`: 0 none, 1 fastest, to 19 as for zstd"},
			&ucli.StringFlag{Name: "on-read-error", Value: "stop",
				Usage: "`WHAT` to do if a sector can't be read: stop, or zero: send zeros, " +
					"marked as lost"},
			cli.Switch("force", "go on though an archive seems to be of another volume"),
			cli.Switch("dry-run", "print how much would be sent, send nothing", "n"),
		}, archives.Flags()...),
		Run:    run,
		Status: status,
		Hint:   hint,
	}
}

func run(ctx context.Context, inv *cli.Invocation) error {
	defer runtime.KeepAlive(make([]byte, ballastSize))
	o, err := readOptions(inv)
	if err != nil {
		return err
	}
	ctx = devmapper.WithWaiting(ctx, func(command string) {
		inv.Warn(fmt.Sprintf("waiting for %q to end; interrupt twice more to end %s without it",
			command, inv.App.Name))
	})
	ctx = thin.WithWaiting(ctx, func(what string) { inv.Warn("waiting for " + what) })
	src, err := openSource(ctx, inv, o)
	if err != nil {
		return err
	}
	defer func(end func() error) {
		if err := end(); err != nil { // such as that a snapshot stays active
			inv.Warn(err.Error())
		}
	}(src.Close)
	if o.start > 0 {
		if src.Source, err = dump.StartAt(ctx, src.Source, o.start); err != nil {
			return err
		}
	}
	if inv.Bool("dry-run") {
		return dryRun(ctx, inv, src, o)
	}
	var report dump.Report
	err = output.Write(ctx, inv, "patch", src.Inputs, src.paths, func(w io.Writer) error {
		report, err = pipe(ctx, inv, src, w, o)
		return err
	})
	if err != nil {
		return err
	}
	conclude(inv, src, report)
	return nil
}

func pipe(ctx context.Context, inv *cli.Invocation, src source, w io.Writer,
	o options) (dump.Report, error) {
	if o.bwlimit > 0 {
		w = cli.LimitWriter(ctx, w, o.bwlimit)
	}
	bar, total := inv.NewBar(), src.Header.Planned.Bytes
	defer bar.Clear()
	return dump.Run(ctx, src.Source, w, dump.Options{
		Level:          o.level,
		ExactBase:      src.exact,
		BlockSize:      o.blockSize,
		ZeroUnreadable: o.zeroUnreadable,
		Unreadable:     warnUnreadable(inv),
		Tool:           inv.App.Name,
		ToolVersion:    cli.Version,
		BeforeTrailer:  inv.SyncOut, // of a file that -o names nothing is there before it's durable
		Progress:       func(done int64) { bar.Set("dumping", done, total) },
	})
}

// summary is what --json prints.
type summary struct {
	Source     string      `json:"source"`
	PatchID    string      `json:"patch_id,omitempty"`
	DryRun     bool        `json:"dry_run"`
	Kind       format.Kind `json:"kind"`
	BasePatch  string      `json:"base_patch,omitempty"`
	VolumeSize int64       `json:"volume_size"`
	Extents    int64       `json:"extents"`
	DataBytes  int64       `json:"data_bytes"`
	ZeroBytes  int64       `json:"zero_bytes"`
	LostBytes  int64       `json:"lost_bytes,omitempty"`
	PatchBytes int64       `json:"patch_bytes,omitempty"`
}

func summarise(src source, h format.Header, t format.Totals) summary {
	s := summary{
		Source: src.name, Kind: h.Kind, VolumeSize: h.VolumeSize,
		Extents: t.Extents, DataBytes: t.DataBytes, ZeroBytes: t.ZeroBytes,
	}
	if id := follow.BaseOf(h).Patch; id != uuid.Nil {
		s.BasePatch = id.String()
	}
	return s
}

// dryRun says what would be dumped. That was asked for, so it goes to standard output.
func dryRun(ctx context.Context, inv *cli.Invocation, src source, o options) error {
	r, err := count(ctx, inv, src, o)
	if err != nil {
		return err
	}
	warnLost(inv, r.Lost)
	t := r.Totals
	s := summarise(src, src.Header, t)
	s.DryRun, s.LostBytes = true, r.Lost.Bytes
	inv.Close("", s)
	if !inv.Bool("json") {
		atMost := ""
		if src.exact && !src.compares {
			atMost = ", less what equals the snapshot"
		}
		_, err = fmt.Fprintf(inv.Out(), "%s: %d extents, %d bytes (%s) of %s would be sent "+
			"(%s%s)\n", src.name,
			t.Extents, t.Bytes(), cli.Bytes(t.Bytes()), cli.Bytes(s.VolumeSize),
			cli.Percent(t.Bytes(), s.VolumeSize), atMost)
	}
	return err
}

// count counts what would be dumped. What two volumes differ in is known only when both have been
// read.
func count(ctx context.Context, inv *cli.Invocation, src source,
	o options) (r dump.Report, err error) {
	if src.compares {
		o.level, o.bwlimit = 0, 0
		return pipe(ctx, inv, src, io.Discard, o)
	}
	r.Totals, err = dump.Plan(ctx, src.Source)
	return r, err
}

// conclude says what was dumped.
func conclude(inv *cli.Invocation, src source, r dump.Report) {
	s := summarise(src, r.Header, r.Totals)
	warnLost(inv, r.Lost)
	warnClock(inv, r.Header)
	s.LostBytes = r.Lost.Bytes
	s.PatchID, s.PatchBytes = r.Header.ID.String(), r.PatchBytes
	size := cli.Bytes(s.VolumeSize)
	line := fmt.Sprintf("%s: %s of %s changed (%s)", src.name, cli.Bytes(r.Totals.Bytes()), size,
		cli.Percent(r.Totals.Bytes(), s.VolumeSize))
	if s.Kind == format.Full {
		line = fmt.Sprintf("%s: %s", src.name, size)
		if s.ZeroBytes > 0 {
			line += fmt.Sprintf(", %s of them zeros", cli.Bytes(s.ZeroBytes))
		}
	}
	line += fmt.Sprintf("; %s patch in %s", cli.Bytes(s.PatchBytes), cli.Seconds(inv.Elapsed()))
	if less := s.VolumeSize / max(s.PatchBytes, 1); less >= 2 {
		line += fmt.Sprintf("; %d times less than a full copy", less)
	}
	inv.Close(line, s)
}
