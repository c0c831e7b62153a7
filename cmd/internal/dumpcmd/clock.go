package dumpcmd

import (
	"fmt"
	"time"

	"lvmsync/cmd/internal/cli"
	"lvmsync/format"
)

// warnBackwards tells that the patch seems to lead to something older than what it starts from: the
// arguments may have been exchanged.
func warnBackwards(inv *cli.Invocation, h format.Header) {
	if h.Base == nil || h.State == nil || h.Base.SnapshotCreated.IsZero() ||
		h.State.SnapshotCreated.IsZero() {
		return
	}
	if h.State.SnapshotCreated.Before(h.Base.SnapshotCreated) {
		inv.Warn(fmt.Sprintf("%s is older than %s, if the clock was right when they were made: "+
			"the patch takes a volume back",
			inv.String("to"), inv.Args().First()))
	}
}

// warnClock tells that the patch is older than its own snapshot, which no order by times survives.
func warnClock(inv *cli.Invocation, h format.Header) {
	var youngest time.Time
	if h.Base != nil {
		youngest = h.Base.SnapshotCreated
	}
	if h.State != nil && h.State.SnapshotCreated.After(youngest) {
		youngest = h.State.SnapshotCreated
	}
	if youngest.After(h.Created) {
		inv.Warn(fmt.Sprintf("the clock was set back since the snapshot was made, to %v before: "+
			"what this patch follows, and what follows it, is known only where they name one "+
			"another's snapshots",
			youngest.Sub(h.Created).Round(time.Second)))
	}
}
