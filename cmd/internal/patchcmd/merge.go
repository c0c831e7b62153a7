package patchcmd

import (
	"context"
	"fmt"
	"io"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/output"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/dump"
	"lvmsync/format"
	"lvmsync/format/merge"
)

const mergeDescription = "" +
	`The patches must follow one another, the oldest first, as lvmsync-apply demands it of
several. What comes out does the same as all of them: what followed the last follows
it, and it follows what the first did. Each is verified whole before anything is written
to standard output, or to the file that -o names. Segments that no other patch touches are
copied as they are; with --level, all are compressed anew.

` + exitStatusesOfChain

func mergeCommand() *cli.Command {
	return &cli.Command{
		Name:        "merge",
		Usage:       "make one patch of several that follow one another",
		UsageText:   "lvmsync-patch merge [options] PATCH PATCH...",
		Description: mergeDescription,
		Flags: []ucli.Flag{
			&ucli.IntFlag{Name: "level", DefaultText: "1, for what can't be copied",
				Usage: "compress all of it anew at `LEVEL`: 0 none, 1 fastest, to 19 as for zstd"},
			cli.Switch("trust-order", "take patches in the order given where only clocks speak "+
				"against it"),
			output.Flag("patch"),
		},
		Run:    mergePatches,
		Status: status,
		Hint:   hint,
	}
}

// mergeNames checks how the subcommand was called.
func mergeNames(inv *cli.Invocation) ([]string, error) {
	names, err := patchfile.Names(inv.Args().Slice())
	switch level := inv.Int("level"); {
	case err != nil:
		return nil, err
	case len(names) == 1 && isFolder(names[0]):
		return nil, cli.Usagef("%s is a folder: name the patches in it, the oldest first, "+
			"as lvmsync-patch list shows them", names[0])
	case len(names) < 2:
		return nil, cli.Usagef("at least two patches expected: of one there is nothing to merge")
	case level < 0 || level > format.MaxLevel:
		return nil, cli.Usagef("--level %d is not within 0 to %d", level, format.MaxLevel)
	}
	return names, output.Check(inv, "patch")
}

func mergePatches(ctx context.Context, inv *cli.Invocation) error {
	names, err := mergeNames(inv)
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
	defer bar.Clear()
	mo := apply.MergeOptions{
		TrustOrder: inv.Bool("trust-order"),
		Made:       merge.Made{Tool: "lvmsync-patch", ToolVersion: cli.Version},
		// of a file that -o names nothing is there before it's durable
		Options: merge.Options{Level: 1, BeforeTrailer: inv.SyncOut},
		Warn:    inv.Warn,
		Started: func(headers []format.Header) {
			total = planned(headers...)
			for i, h := range headers {
				inv.Note("%s: %s", patchfile.Shown(names[i]), patchfile.Describe(h))
			}
		},
		Progress: func(stage apply.Stage, done int64) {
			if stage == apply.Merging {
				total = -1
			}
			bar.Set(string(stage), done, total)
		},
	}
	if inv.IsSet("level") {
		mo.Level, mo.Anew = inv.Int("level"), true
	}
	var m apply.Merged
	err = output.Write(ctx, inv, "patch", dump.Inputs{}, names, func(w io.Writer) error {
		m, err = apply.Merge(ctx, patches, w, mo)
		return err
	})
	if err != nil {
		return patchfile.WithLine(inv, nil, err)
	}
	inv.Close(fmt.Sprintf("%d patches merged to one %s patch of %s in %s", len(names),
		m.Header.Kind, cli.Bytes(m.Size), cli.Seconds(inv.Elapsed())), mergeSummaryOf(m, names))
	return nil
}

// mergeSummary is what --json prints.
type mergeSummary struct {
	PatchID    string      `json:"patch_id"`
	Kind       format.Kind `json:"kind"`
	Merged     []string    `json:"merged"`
	VolumeSize int64       `json:"volume_size"`
	contents
	Segments   int64 `json:"segments"`
	Copied     int64 `json:"copied_segments"`
	PatchBytes int64 `json:"patch_bytes"`
}

func mergeSummaryOf(m apply.Merged, names []string) mergeSummary {
	t := m.Totals
	return mergeSummary{PatchID: m.Header.ID.String(), Kind: m.Header.Kind, Merged: names,
		VolumeSize: m.Header.VolumeSize, Segments: t.Segments, Copied: m.Copied,
		PatchBytes: m.Size,
		contents:   contents{t.Extents, t.DataBytes, t.ZeroBytes, m.Lost.Bytes, m.Lost.Count}}
}
