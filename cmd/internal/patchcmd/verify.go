package patchcmd

import (
	"context"
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
)

const verifyDescription = "" +
	`Each PATCH is read to its end, and everything in it is checked. Several must follow
one another, the oldest first. If the first one is full, it is also checked that
each of the others is made for what those before it leave: that lvmsync-apply
--create would take them, with --accept-lost-sectors where it is warned of such.
Without PATCH, or with -, one is read from standard input.

` + exitStatusesOfChain

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name:        "verify",
		Usage:       "check that patches are whole and follow one another",
		UsageText:   "lvmsync-patch verify [options] [PATCH...]",
		Description: verifyDescription,
		Flags: []ucli.Flag{
			cli.Switch("trust-order", "take patches in the order given where only clocks speak "+
				"against it"),
		},
		Run:    verify,
		Status: status,
		Hint:   hint,
	}
}

func verify(ctx context.Context, inv *cli.Invocation) error {
	names, err := patchfile.Names(inv.Args().Slice())
	if err != nil {
		return err
	}
	var patches []apply.Patch
	for _, name := range names {
		patch, err := patchfile.Patch(ctx, inv, name)
		if err != nil {
			return err
		}
		patches = append(patches, patch)
	}
	bar, total := inv.NewBar(), int64(-1)
	verified, err := apply.Verify(ctx, patches, apply.VerifyOptions{
		TrustOrder: inv.Bool("trust-order"),
		Warn:       inv.Warn,
		Started: func(headers []format.Header) {
			total = planned(headers...)
			for i, h := range headers {
				inv.Note("%s: %s", patchfile.Shown(names[i]), patchfile.Describe(h))
			}
		},
		Progress: func(stage apply.Stage, done int64) { bar.Set(string(stage), done, total) },
	})
	if len(names) == 1 {
		err = patchfile.About(names[0], err)
	}
	if err != nil {
		return patchfile.WithLine(inv, nil, err)
	}
	for i, name := range names {
		verified[i].Name = name
	}
	s := summarise(verified)
	inv.Close(closingLine(inv, verified, s), s)
	return nil
}

// summary is what --json prints.
type summary struct {
	Patches      []patchSummary `json:"patches"`
	BasesChecked bool           `json:"bases_checked"`
}

type patchSummary struct {
	Patch      string      `json:"patch"`
	PatchID    string      `json:"patch_id"`
	Kind       format.Kind `json:"kind"`
	Whole      bool        `json:"whole"`
	Torn       int64       `json:"torn_bytes,omitempty"`
	VolumeSize int64       `json:"volume_size"`
	contents
	PatchBytes int64 `json:"patch_bytes"`
}

func summarise(verified []apply.Verified) summary {
	s := summary{BasesChecked: len(verified) > 1 && verified[0].Header.Kind == format.Full}
	for _, v := range verified {
		s.Patches = append(s.Patches, patchSummary{
			Patch: v.Name, PatchID: v.Header.ID.String(), Kind: v.Header.Kind,
			Whole: !v.NoEnd, Torn: v.Torn,
			VolumeSize: v.Header.VolumeSize, contents: contentsOf(v), PatchBytes: v.Size,
		})
	}
	return s
}

func closingLine(inv *cli.Invocation, verified []apply.Verified, s summary) string {
	size, order := int64(0), "in order"
	for _, v := range verified {
		size += v.Size - v.Torn
		if v.ByBase {
			order = "in order as far as their names tell"
		}
	}
	took := fmt.Sprintf("; %s verified in %s", cli.Bytes(size), cli.Seconds(inv.Elapsed()))
	switch v := verified[0]; {
	case len(verified) == 1 && v.NoEnd:
		return fmt.Sprintf("%s: right as far as it goes, but its end is missing; %d of %d bytes "+
			"verified in %s",
			patchfile.Shown(v.Name), size, v.Size, cli.Seconds(inv.Elapsed()))
	case len(verified) == 1:
		return fmt.Sprintf("%s: a whole %s patch%s", patchfile.Shown(v.Name), v.Header.Kind, took)
	case s.BasesChecked:
		return fmt.Sprintf("%d patches: whole, and each is made for what those before it leave%s",
			len(verified), took)
	}
	return fmt.Sprintf("%d patches: whole and %s%s; what they replace can only be checked behind "+
		"a full patch", len(verified), order, took)
}
