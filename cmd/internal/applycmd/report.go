package applycmd

import (
	"fmt"
	"time"

	"lvmsync/apply"
	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/format"
	"lvmsync/format/archive"
)

// summary is what --json prints.
type summary struct {
	Destination     string      `json:"destination"`
	DestinationSize int64       `json:"destination_size"`
	DryRun          bool        `json:"dry_run"`
	Created         bool        `json:"created"`
	State           *restored   `json:"state,omitempty"`
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

// restored is a state of an archive.
type restored struct {
	Time     time.Time `json:"time,omitzero"`
	Snapshot string    `json:"snapshot,omitempty"`
	Files    []string  `json:"files"`
}

// conclude says what was done; of a state of an archive, unless that is nil.
func conclude(inv *cli.Invocation, o apply.Options, r apply.Report, state *archive.Patch) {
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
	if state != nil {
		s.State = &restored{state.Time(), state.Snapshot(), archives.Names(state.Chain())}
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
