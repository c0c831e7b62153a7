package thick

import (
	"context"
	"fmt"

	"lvmsync/dump/devmapper"
)

// other tells what a device is whose table says neither that it has a snapshot's list of changes
// nor that one of them is about it.
func (s *snapshot) other(ctx context.Context, kind string) error {
	part := ""
	switch s.device.Layer {
	case "":
		if s.device.VG == "" {
			break
		}
		lv, err := devmapper.LV(ctx, s.device.VG, s.device.LV)
		if err == nil && lv.CheckInner() != nil {
			return lv.CheckInner()
		}
	case "tpool":
		lv := devmapper.LogicalVolume{VG: s.device.VG, Name: s.device.LV, SegType: "thin-pool"}
		return lv.CheckInner()
	case "cow":
		part = ", the COW store of " + s.device.VG + "/" + s.device.LV
	default:
		part = ", a part of " + s.device.VG + "/" + s.device.LV
	}
	return fmt.Errorf("%s: %w: it is a volume of type %s%s", s.name, ErrNotSnapshot, kind, part)
}
