package patchcmd

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/apply"
	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/mount"
	"lvmsync/format/archive"
	"lvmsync/format/filelock"
	"lvmsync/format/volume"
)

const mountDescription = "" +
	`Each state that can be restored is a file in MOUNTPOINT, of the size of the volume and
with the state's time, to be read with any program or set up with losetup -r. States of
several volumes are in a folder for each. What was not checked is not given: damage is an
error of reading, there alone. It stays mounted, with the states that it found, until
umount, SIGINT or SIGTERM ends it; a line says when it is ready.

` + exitStatuses + `; 4 a named patch is not one, truncated
or corrupt; 5 patches are missing, or DEVICE does not hold what they start from.`

func mountCommand() *cli.Command {
	return &cli.Command{
		Name:        "mount",
		Usage:       "show each state of a folder of patches as a file",
		UsageText:   "lvmsync-patch mount [options] FOLDER|PATCH... MOUNTPOINT",
		Description: mountDescription,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "base", Usage: "show what deltas and undo patches lead to over " +
				"`DEVICE`, or an image, which is read only and must hold what they start from"},
			cli.Switch("no-check-base", "show it whatever DEVICE holds"),
			&ucli.StringFlag{Name: "cache", DefaultText: "64M",
				Usage: "use up to `SIZE` bytes of memory for what was read, in all"},
			cli.Switch("accept-lost-sectors",
				"show zeros where a patch has lost what the volume held"),
			cli.Switch("allow-other", "let other users read, too"),
		},
		Run:    runMount,
		Status: mountStatus,
		Hint:   mountHint,
	}
}

// minCache is the least that makes sense: a few segments.
const minCache = 1 << 20

// mountNames checks how the subcommand was called.
func mountNames(inv *cli.Invocation) (paths []string, point string, cache int64, err error) {
	args := inv.Args().Slice()
	switch {
	case len(args) == 0:
		return nil, "", 0, cli.Usagef("no folder or patch given")
	case len(args) == 1:
		return nil, "", 0, cli.Usagef("no mount point given: %s is what would be mounted there",
			args[0])
	case inv.Bool("no-check-base") && !inv.IsSet("base"):
		return nil, "", 0, cli.Usagef("--no-check-base goes with --base")
	case inv.IsSet("base") && inv.String("base") == "":
		return nil, "", 0, cli.Usagef("--base needs a name")
	}
	cache = volume.DefaultCache
	if inv.IsSet("cache") {
		if cache, err = cli.ParseBytes(inv.String("cache")); err != nil {
			return nil, "", 0, cli.Usagef("--cache: %v", err)
		}
		if cache < minCache {
			return nil, "", 0, cli.Usagef("--cache %s is less than %s", inv.String("cache"),
				cli.Bytes(minCache))
		}
	}
	return args[:len(args)-1], args[len(args)-1], cache, nil
}

// mountStatus is the exit status for an error.
func mountStatus(err error) int {
	if errors.Is(err, errNoFull) {
		return cli.StatusWrongBase
	}
	return status(err)
}

// mountHint says what to do about an error.
func mountHint(err error) string {
	switch {
	case errors.Is(err, errNoFull):
		return "with --base DEVICE they are shown over the volume that they start from"
	case errors.Is(err, errBad) && errors.Is(err, fs.ErrPermission):
		return "run as who may read it, such as root, or let yourself read it"
	case errors.Is(err, errBad):
		return "lvmsync-patch list tells of all files what is wrong with them"
	case errors.Is(err, archive.ErrDoubt):
		return "who knows that its patches follow one another names all of them instead of the folder"
	case errors.Is(err, filelock.ErrLocked):
		return "wait until the other program has ended"
	case errors.Is(err, apply.ErrWrongBase):
		return "name the device that holds what the first of the patches starts from"
	}
	return cmp.Or(mount.Hint(err), hint(err))
}

// mountSummary is what --json prints.
type mountSummary struct {
	Mountpoint string `json:"mountpoint"`
	Volumes    int    `json:"volumes"`
	States     int    `json:"states"`
}

func runMount(ctx context.Context, inv *cli.Invocation) error {
	paths, point, cache, err := mountNames(inv)
	if err != nil {
		return err
	}
	full, err := mount.CheckPoint(point)
	if err != nil && len(paths) == 1 && archives.Is(point) && isEmpty(paths[0]) {
		return cli.Usagef("%s is no mount point, but %s may be one: MOUNTPOINT comes last", point,
			paths[0])
	}
	if err != nil {
		return err
	}
	a, err := archive.Read(ctx, paths...)
	if err != nil {
		return err
	}
	o := mount.Options{Point: full, Source: paths[0], Cache: cache, Warn: inv.Warn,
		AcceptLost: inv.Bool("accept-lost-sectors"), AllowOther: inv.Bool("allow-other")}
	if inv.IsSet("base") {
		base, err := openBase(ctx, inv)
		if err != nil {
			return err
		}
		defer base.Close()
		o.Base, o.BaseSize = base, base.Size()
	}
	c := chooser{ctx: ctx, inv: inv, archive: a, named: paths, base: o.Base, size: o.BaseSize}
	if o.Volumes, err = c.choose(); err != nil {
		return err
	}
	return serve(ctx, inv, point, o)
}

// isEmpty tells whether a path is a folder with nothing in it.
func isEmpty(path string) bool {
	entries, err := os.ReadDir(path)
	return err == nil && len(entries) == 0
}

// serve mounts it and stays until it is unmounted.
func serve(ctx context.Context, inv *cli.Invocation, point string, o mount.Options) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	again, stop := cli.Signals()
	defer stop()
	m, err := mount.New(o)
	if err != nil {
		return err
	}
	summary := mountSummary{Mountpoint: point, Volumes: len(o.Volumes)}
	for _, v := range o.Volumes {
		summary.States += len(v.States)
	}
	what := few(summary.States, "state is", "states are") + " to be read in " + point
	inv.Say(what + "; umount or Ctrl-C ends that")
	if err := end(ctx, inv, m, point, again); err != nil {
		return err
	}
	inv.Close(point+" is unmounted", summary)
	return nil
}
