package cli

import (
	"fmt"

	"lvmsync/dump/blockdev"
	"lvmsync/format/container"
)

// WarnKind tells that a file is no raw image: its bytes are taken for those of a volume
// all the same. On a device, such a thing is what the volume holds.
func (inv *Invocation) WarnKind(f *blockdev.File) {
	if f.IsDevice() {
		return
	}
	if kind := container.Identify(f, f.Size()); kind.Is() {
		inv.Warn(fmt.Sprintf("%s is %s, not a raw image: it is read as it is, not the volume that may be in it", f.Name(), kind.Name))
	}
}
