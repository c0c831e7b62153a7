package sources

import (
	"fmt"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump"
	"lvmsync/format/container"
)

// warnKinds tells of files that are no raw images: their bytes are taken for those of a volume all
// the same.
func warnKinds(inv *cli.Invocation, inputs dump.Inputs) {
	for _, in := range inputs {
		if in.IsDevice() {
			continue
		}
		if kind := container.Identify(in, in.Size()); kind.Is() {
			inv.Warn(fmt.Sprintf("%s is %s, not a raw image: it is read as it is, not the volume "+
				"that may be in it", in.Name(), kind.Name))
		}
	}
}
