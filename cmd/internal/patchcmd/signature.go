package patchcmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/output"
	"lvmsync/cmd/internal/sources"
	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/signature"
	"lvmsync/dump/stored"
	"lvmsync/format/sigfile"
)

const signatureDescription = "" +
	`DEVICE, or an image file, is read; the signature goes to standard output unless -o is
given. Where a newer version of the volume is, lvmsync-dump --signature makes the patch
that leads to it. Of an archive, which is a folder of patches, or a full patch, the newest
state is read unless --at or --state says which; the patch then follows that.

` + exitStatuses + `; 4 a patch of the archive is
damaged or has lost sectors; 5 patches of it are missing.`

func signatureCommand() *cli.Command {
	return &cli.Command{
		Name:        "signature",
		Usage:       "hash the blocks of a device, for lvmsync-dump --signature",
		UsageText:   "lvmsync-patch signature [options] DEVICE|ARCHIVE",
		Description: signatureDescription,
		Flags: append(archives.Flags(),
			&ucli.StringFlag{Name: "block-size", Value: "4k",
				Usage: "hash blocks of `SIZE` bytes: a power of two from 512 to 1M"},
			output.Flag("signature"),
		),
		Run:    makeSignature,
		Status: status,
		Hint:   hint,
	}
}

// signatureSummary is what --json prints.
type signatureSummary struct {
	Source         string `json:"source"`
	SignatureID    string `json:"signature_id"`
	VolumeSize     int64  `json:"volume_size"`
	BlockSize      int64  `json:"block_size"`
	SignatureBytes int64  `json:"signature_bytes"`
}

// signatureOptions checks how the subcommand was called.
func signatureOptions(inv *cli.Invocation) (blockSize int64, err error) {
	if err := archives.CheckQuotes(inv); err != nil {
		return 0, err
	}
	blockSize, err = cli.ParseBytes(inv.String("block-size"))
	switch {
	case err != nil:
		return 0, cli.Usagef("--block-size: %v", err)
	case !sigfile.IsBlockSize(blockSize):
		return 0, cli.Usagef("--block-size %s is no power of two from 512 to 1M",
			inv.String("block-size"))
	case inv.NArg() == 0:
		return 0, cli.Usagef("no device given")
	case inv.NArg() > 1:
		return 0, cli.Usagef("one device expected, not %d arguments", inv.NArg())
	}
	return blockSize, output.Check(inv, "signature")
}

// A subject is what a signature is made of, with all that is read for it.
type subject struct {
	signature.Subject
	inputs dump.Inputs
	paths  []string
	close  func() error
}

// openSubject opens the device or file that is named, or a state of the archive.
func openSubject(ctx context.Context, inv *cli.Invocation, name string) (*subject, error) {
	path, err := devmapper.Resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	isArchive := archives.Is(path)
	err = archives.Check(inv, isArchive, "name a folder of patches, or a full patch")
	if err != nil {
		return nil, err
	}
	if isArchive {
		return openStored(ctx, inv, name, path)
	}
	f, err := blockdev.Open(path)
	if err != nil {
		return nil, err
	}
	inputs := dump.Inputs{{File: f, What: "the device"}}
	if err := inputs.Flush(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	sources.Warn(inv, inputs)
	return &subject{signature.Device(f), inputs, inputs.Paths(), f.Close}, nil
}

// openStored opens a state of an archive.
func openStored(ctx context.Context, inv *cli.Invocation, name, path string) (*subject, error) {
	p, err := archives.Select(ctx, inv, path)
	if err != nil {
		return nil, err
	}
	s, err := stored.Open(p)
	if err != nil {
		return nil, err
	}
	inv.Say(fmt.Sprintf("%s: reads the state of %v", name, p))
	paths := archives.Opened(inv, p.Chain(), s.Files())
	return &subject{signature.Stored(s), nil, paths, s.Close}, nil
}

func makeSignature(ctx context.Context, inv *cli.Invocation) error {
	blockSize, err := signatureOptions(inv)
	if err != nil {
		return err
	}
	name := inv.Args().First()
	f, err := openSubject(ctx, inv, name)
	if err != nil {
		return err
	}
	defer f.close()
	bar := inv.NewBar()
	defer bar.Clear()
	var report signature.Report
	err = output.Write(ctx, inv, "signature", f.inputs, f.paths, func(w io.Writer) error {
		report, err = signature.Make(ctx, f.Subject, w, signature.Options{
			BlockSize:   blockSize,
			Tool:        "lvmsync-patch",
			ToolVersion: cli.Version,
			// of a file that -o names nothing is there before it's durable
			BeforeTrailer: inv.SyncOut,
			Progress:      func(done int64) { bar.Set("hashing", done, f.Size()) },
		})
		return err
	})
	if err != nil {
		return err
	}
	inv.Close(fmt.Sprintf("%s: %s in blocks of %s; signature of %s in %s", name,
		cli.Bytes(f.Size()), cli.Bytes(blockSize),
		cli.Bytes(report.Bytes), cli.Seconds(inv.Elapsed())), signatureSummary{
		Source: name, SignatureID: report.Header.ID.String(), VolumeSize: f.Size(),
		BlockSize: blockSize, SignatureBytes: report.Bytes,
	})
	return nil
}
