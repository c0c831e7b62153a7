package dumpcmd

import (
	"fmt"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump"
	"lvmsync/format"
)

// shownLost is how many ranges that can't be read are told one by one.
const shownLost = 3

// warnUnreadable tells the first ranges that can't be read.
func warnUnreadable(inv *cli.Invocation) func(format.Extent, error) {
	shown := 0
	return func(e format.Extent, err error) {
		if shown++; shown <= shownLost {
			inv.Warn(fmt.Sprintf("%v: zeros are sent for the bytes [%d, %d)", err, e.Off, e.End()))
		}
		if shown == shownLost+1 {
			inv.Warn("more can't be read: at the end it is told how much")
		}
	}
}

// warnLost tells how much could not be read in all.
func warnLost(inv *cli.Invocation, n dump.Lost) {
	if n.Bytes > 0 {
		inv.Warn(fmt.Sprintf("%d bytes in %d places could not be read: the patch has zeros "+
			"there, marked as lost, and lvmsync-apply needs --accept-lost-sectors",
			n.Bytes, n.Extents))
	}
}
