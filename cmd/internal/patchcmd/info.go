package patchcmd

import (
	"cmp"
	"context"
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
)

// defaultWidth is that of a map where there is no terminal.
const defaultWidth = 80

const infoDescription = "" +
	`PATCH is read to its end and checked on the way. Without it, or with -, it is read
from standard input. The map shows the volume from its beginning to its end, darker where
more of it changes; of a full patch, where more of it is not zeros. With --json all
of it is one JSON object on standard output.

` + exitStatusesOfPatch

func infoCommand() *cli.Command {
	return &cli.Command{
		Name:        "info",
		Usage:       "tell what a patch is, and show where it changes the volume",
		UsageText:   "lvmsync-patch info [options] [PATCH]",
		Description: infoDescription,
		Flags: []ucli.Flag{
			&ucli.IntFlag{Name: "width", Usage: "make the map `COLUMNS` wide",
				DefaultText: fmt.Sprintf("as the terminal, or %d", defaultWidth)},
		},
		Run:    info,
		Status: status,
		Hint:   hint,
	}
}

// patchInfo is what is known of a patch.
type patchInfo struct {
	apply.Verified
	volume *volumeMap
}

func info(ctx context.Context, inv *cli.Invocation) error {
	if inv.NArg() > 1 {
		return cli.Usagef("one patch expected, not %d arguments", inv.NArg())
	}
	if w := inv.Int("width"); inv.IsSet("width") && (w < 1 || w > maxCells) {
		return cli.Usagef("--width %d is not within 1 to %d", w, maxCells)
	}
	names, err := patchfile.Names(inv.Args().Slice())
	if err != nil {
		return err
	}
	name := names[0]
	patch, err := patchfile.Patch(ctx, inv, name)
	if err != nil {
		return err
	}
	p, err := readInfo(ctx, inv, patch)
	if err != nil {
		return patchfile.About(name, err)
	}
	p.Name = name
	text := []byte(p.text())
	if inv.Bool("json") {
		if text, err = cli.JSON(p.object()); err != nil {
			return err
		}
		text = append(text, '\n')
	}
	_, err = inv.Out().Write(text)
	return err
}

// readInfo reads the whole patch: nothing is told of one that is damaged anywhere.
func readInfo(ctx context.Context, inv *cli.Invocation,
	patch apply.Patch) (p patchInfo, err error) {
	width := cmp.Or(inv.Int("width"), min(inv.OutWidth(), maxCells), defaultWidth)
	bar, total := inv.NewBar(), int64(-1)
	defer bar.Clear()
	var h format.Header
	p.Verified, err = apply.Read(ctx, patch, apply.ReadOptions{
		Warn: inv.Warn,
		Started: func(header format.Header) {
			total, h = planned(header), header
			p.volume = newVolumeMap(h.VolumeSize, width)
		},
		Progress: func(stage apply.Stage, done int64) { bar.Set(string(stage), done, total) },
	}, func(s *format.Segment) {
		for _, r := range s.Records {
			// a full patch has everything in extents
			if h.Kind != format.Full || r.Kind == format.Data {
				p.volume.add(r.Extent)
			}
		}
	})
	return p, err
}

// contents are what --json tells of a patch's extents.
type contents struct {
	Extents   int64 `json:"extents"`
	DataBytes int64 `json:"data_bytes"`
	ZeroBytes int64 `json:"zero_bytes"`
	Lost      int64 `json:"lost_bytes"`
	LostIn    int64 `json:"lost_extents"`
}

func contentsOf(v apply.Verified) contents {
	t := v.Totals
	return contents{t.Extents, t.DataBytes, t.ZeroBytes, v.Lost.Bytes, v.Lost.Count}
}

// infoObject is what --json prints.
type infoObject struct {
	Patch      string        `json:"patch"`
	PatchBytes int64         `json:"patch_bytes"`
	Whole      bool          `json:"whole"`
	Torn       int64         `json:"torn_bytes,omitempty"`
	Header     format.Header `json:"header"`
	Segments   int64         `json:"segments"`
	contents
	Ratio    float64 `json:"compression_ratio"`
	MapShows string  `json:"map_shows"`
	Map      []cell  `json:"map"`
}

func (p patchInfo) object() infoObject {
	return infoObject{
		Patch: p.Name, PatchBytes: p.Size, Whole: !p.NoEnd, Torn: p.Torn, Header: p.Header,
		Segments: p.Totals.Segments, contents: contentsOf(p.Verified),
		Ratio: p.ratio(), MapShows: p.shows(), Map: p.volume.cells(),
	}
}

// ratio is how many bytes of data there are for each byte of the patch.
func (p patchInfo) ratio() float64 { return float64(p.Totals.DataBytes) / float64(p.Size) }

// shows is what the map is about.
func (p patchInfo) shows() string {
	if p.Header.Kind == format.Full {
		return "data"
	}
	return "changes"
}
