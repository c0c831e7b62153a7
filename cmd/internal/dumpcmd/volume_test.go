package dumpcmd

import (
	"testing"

	"lvmsync/format"
)

func TestSameVolume(t *testing.T) {
	lv := format.Header{Host: "a", State: &format.State{Snapshot: "S"}, Source: format.Source{
		Path: "/dev/vg/mail-mon", VG: "vg", LV: "mail", LVUUID: "M"}}
	image := format.Header{Host: "a", Source: format.Source{Path: "/mail.img"}}
	luks := format.Header{Host: "a", Source: format.Source{Path: "/dev/dm-1", DeviceUUID: "C"}}
	uuid := func(vg, name string) format.Source {
		return format.Source{LVUUID: "W", VG: vg, LV: name}
	}
	named := func(path string) format.Source { return format.Source{Path: path} }
	for name, tt := range map[string]struct {
		host       string
		now        format.Source
		held       format.Header
		ids, names bool
	}{
		"the same":         {"b", format.Source{LVUUID: "M"}, lv, true, false},
		"another one":      {"a", uuid("vg", "www"), lv, false, false},
		"in its place":     {"a", uuid("vg", "mail"), lv, false, true},
		"elsewhere":        {"b", uuid("vg", "mail"), lv, false, false},
		"of another group": {"a", uuid("vh", "mail"), lv, false, false},
		"a snapshot of it": {"a", format.Source{LVUUID: "M", SnapshotUUID: "T",
			Path: "/dev/vg/mail-tue"}, lv, true, false},
		"a snapshot of another": {"a", format.Source{LVUUID: "W", SnapshotUUID: "T"}, lv, false,
			false},
		"the state, in use":  {"a", format.Source{LVUUID: "S"}, lv, true, false},
		"of it as a volume":  {"a", format.Source{LVUUID: "W", SnapshotUUID: "M"}, lv, true, false},
		"restored as image":  {"a", named("/mail.img"), lv, false, false},
		"without LVM's word": {"a", named("/dev/vg/mail-mon"), lv, false, true},
		"an image":           {"a", named("/mail.img"), image, false, true},
		"another image":      {"a", named("/www.img"), image, false, false},
		"of another host":    {"b", named("/mail.img"), image, false, false},
		"of nobody's host":   {"", named("/mail.img"), image, false, true},
		"LVM's in its place": {"a", format.Source{LVUUID: "M", LV: "mail"}, image, false, false},
		"a device by its UUID": {"b", format.Source{Path: "/dev/dm-2", DeviceUUID: "C"}, luks, true,
			false},
		"another device": {"a", format.Source{Path: "/dev/dm-2", DeviceUUID: "D"}, luks, false,
			false},
	} {
		t.Run(name, func(t *testing.T) {
			now := format.Header{Host: tt.host, Source: tt.now}
			if got := sameIDs(now, tt.held); got != tt.ids {
				t.Errorf("the same by ids: %v, want %v", got, tt.ids)
			}
			if got := sameNames(now, tt.held); got != tt.names {
				t.Errorf("the same by names: %v, want %v", got, tt.names)
			}
		})
	}
}
