package cli

import (
	"fmt"

	"lvmsync/dump"
	"lvmsync/format/storage"
)

// WarnUsers tells who may change what devices or files hold while they are read.
func (inv *Invocation) WarnUsers(inputs ...dump.Input) {
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
				inv.Warn(fmt.Sprintf("%s %s is %s: %swhat is written meanwhile may be caught half-way", in.What, in.Name(), u, still))
			}
		}
	}
}
