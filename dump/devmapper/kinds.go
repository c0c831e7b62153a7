package devmapper

import (
	"strings"

	"lvmsync/format/storage/kernel"
)

// ThickSnapshot tells whether this is a thick snapshot, which can be nothing else: LVM makes no
// snapshot of one. That a volume has an Origin proves less: a clone of a thin volume has one, a
// volume with an external origin, a cached one.
func (v LogicalVolume) ThickSnapshot() bool {
	return strings.IndexAny(v.Attr, "sS") == 0 && v.Pool == "" && v.Origin != ""
}

// DeviceUUID is what device-mapper has as the UUID of the volume's device.
func (v LogicalVolume) DeviceUUID() string {
	return kernel.LVMUUID(v.VGUUID, v.UUID)
}

// ReadOnly tells whether nobody can write to the volume: its permission, or that of the way in
// which it is active.
func (v LogicalVolume) ReadOnly() bool {
	return len(v.Attr) > 1 && strings.ContainsAny(v.Attr[1:2], "rR")
}
