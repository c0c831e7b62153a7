package devmapper

import "lvmsync/format/storage/kernel"

// label names a device of device-mapper.
func label(n kernel.DevNum) string {
	if name := n.Attr("dm/name"); name != "" {
		return name
	}
	return n.Path()
}
