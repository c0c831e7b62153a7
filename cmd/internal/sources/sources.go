// Package sources tells what should be known of what a program reads a volume from.
package sources

import (
	"fmt"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump"
	"lvmsync/format/container"
	"lvmsync/format/storage"
)

// Warn tells who may change what the inputs hold while they are read, and which of them are files
// in a form of their own.
func Warn(inv *cli.Invocation, inputs dump.Inputs) {
	warnUsers(inv, inputs)
	warnKinds(inv, inputs)
}

func warnUsers(inv *cli.Invocation, inputs dump.Inputs) {
	for _, in := range inputs {
		usage, err := storage.Users(in.ID())
		if err != nil {
			inv.Warn(fmt.Sprintf("can't tell who uses %s: %v", in.Name(), err))
			continue
		}
		still := ""
		if in.Still {
			still = "it should stand still, "
		}
		for _, u := range usage.Users {
			if !u.ReadOnly {
				inv.Warn(fmt.Sprintf("%s %s is %s: %swhat is written meanwhile may be caught "+
					"half-way", in.What, in.Name(), u, still))
			}
		}
	}
}

// warnKinds tells of files that are no raw images, and of devices that a patch was written to:
// their bytes are taken for those of a volume all the same.
func warnKinds(inv *cli.Invocation, inputs dump.Inputs) {
	for _, in := range inputs {
		kind := container.Identify(in, in.Size())
		if kind.Is() && (kind.Ours || !in.IsDevice()) {
			inv.Warn(fmt.Sprintf("%s is %s, not a raw image: it is read as it is, not the volume "+
				"that may be in it", in.Name(), kind.Name))
		}
	}
}
