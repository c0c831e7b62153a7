package cli

import (
	"fmt"

	"lvmsync/dump/blockdev"
)

// WarnUsers tells who may change what a device or file holds while it is read.
func (inv *Invocation) WarnUsers(what string, f *blockdev.File) {
	usage, err := blockdev.Users(f.ID())
	if err != nil {
		inv.Warn(fmt.Sprintf("can't tell who uses %s: %v", f.Name(), err))
		return
	}
	for _, u := range usage.Users {
		if !u.ReadOnly {
			inv.Warn(fmt.Sprintf("%s %s is %s: what is written meanwhile may be caught half-way", what, f.Name(), u))
		}
	}
}
