package dumpcmd

import (
	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/output"
	"lvmsync/format"
	"lvmsync/format/refine"
	"lvmsync/format/sigfile"
)

// options are those that are numbers.
type options struct {
	level     int
	blockSize int64 // in bytes
	start     int64 // in bytes
	bwlimit   int64 // in bytes a second; 0: no limit

	zeroUnreadable bool // send zeros for sectors that can't be read
}

// readOptions checks how the program was called.
func readOptions(inv *cli.Invocation) (o options, err error) {
	if err := checkUsage(inv); err != nil {
		return o, err
	}
	if o.level = inv.Int("level"); o.level < 0 || o.level > format.MaxLevel {
		return o, cli.Usagef("--level %d is not within 0 to %d", o.level, format.MaxLevel)
	}
	onError := inv.String("on-read-error")
	if o.zeroUnreadable = onError == "zero"; !o.zeroUnreadable && onError != "stop" {
		return o, cli.Usagef("--on-read-error %q is neither stop nor zero", onError)
	}
	for name, n := range map[string]*int64{"block-size": &o.blockSize, "start": &o.start,
		"bwlimit": &o.bwlimit} {
		if !inv.IsSet(name) && inv.String(name) == "" {
			continue
		}
		if *n, err = cli.ParseBytes(inv.String(name)); err != nil {
			return o, cli.Usagef("--%s: %v", name, err)
		}
	}
	switch {
	case !sigfile.IsBlockSize(o.blockSize):
		return o, cli.Usagef("--block-size %s is no power of two from 512 to 1M",
			inv.String("block-size"))
	case inv.IsSet("bwlimit") && o.bwlimit == 0:
		return o, cli.Usagef("--bwlimit 0 would send nothing")
	case !inv.IsSet("base"):
		o.blockSize = refine.BlockSize
	}
	return o, nil
}

func checkUsage(inv *cli.Invocation) error {
	if err := checkModes(inv); err != nil {
		return err
	}
	if err := archives.CheckQuotes(inv); err != nil {
		return err
	}
	args, what := inv.Args().Slice(), "snapshot"
	switch {
	case inv.Bool("full"), inv.IsSet("base"), inv.IsSet("signature"):
		what = "device"
	case inv.IsSet("cow"):
		what = "origin"
	}
	switch {
	case len(args) == 0 && !(inv.IsSet("cow") && inv.Bool("reverse")):
		return cli.Usagef("no %s given", what)
	case len(args) > 1:
		return cli.Usagef("one %s expected, not %d arguments", what, len(args))
	case inv.Bool("dry-run"):
		return nil
	}
	return output.Check(inv, "patch")
}

// modes are the options that say what to dump; of some, two go together.
var modes = []string{"full", "to", "reverse", "cow", "base", "signature"}

// checkModes refuses options that say different things of what to dump.
func checkModes(inv *cli.Invocation) error {
	for i, a := range modes {
		for _, b := range modes[i+1:] {
			if inv.IsSet(a) && inv.IsSet(b) && !(a == "reverse" && b == "cow") {
				return cli.Usagef("--%s and --%s exclude each other", a, b)
			}
		}
	}
	for _, mode := range []string{"full", "base", "signature"} {
		switch {
		case inv.IsSet(mode) && mode == "full" && inv.IsSet("exact-base"):
			return cli.Usagef("--full and --exact-base exclude each other")
		case inv.IsSet(mode) && inv.IsSet("exact-base"):
			return cli.Usagef("--%s is always exact: --exact-base is for snapshots", mode)
		}
	}
	switch {
	case inv.IsSet("block-size") && inv.IsSet("signature"):
		return cli.Usagef("--signature has its own block size: --block-size is for --base")
	case inv.IsSet("block-size") && !inv.IsSet("base"):
		return cli.Usagef("--block-size goes with --base")
	case inv.Bool("exact-base") && inv.IsSet("cow") && inv.Bool("reverse") && inv.NArg() == 0:
		return cli.Usagef("--exact-base needs the origin, too")
	}
	if !inv.IsSet("base") {
		if inv.Bool("force") {
			return cli.Usagef("--force goes with --base: %s", howArchive)
		}
		if err := archives.Check(inv, false, howArchive); err != nil {
			return err
		}
	}
	for _, name := range []string{"base", "signature", "to", "cow"} {
		if inv.IsSet(name) && inv.String(name) == "" {
			return cli.Usagef("--%s needs a name", name)
		}
	}
	return nil
}
