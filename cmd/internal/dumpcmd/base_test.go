package dumpcmd

import (
	"testing"

	"lvmsync/format"
)

// That an archive is of another volume is told where LVM's names tell it: not of a volume's own
// snapshots and states, nor where there are no names.
func TestOtherVolume(t *testing.T) {
	held := format.Header{Source: format.Source{VG: "vg", LV: "mail", LVUUID: "M"},
		State: &format.State{Snapshot: "S"}}
	for name, tt := range map[string]struct {
		now  format.Source
		held format.Header
		want bool
	}{
		"the same":              {format.Source{LVUUID: "M"}, held, false},
		"another one":           {format.Source{LVUUID: "W"}, held, true},
		"a snapshot of it":      {format.Source{LVUUID: "M", SnapshotUUID: "T"}, held, false},
		"a snapshot of another": {format.Source{LVUUID: "W", SnapshotUUID: "T"}, held, true},
		"the state, in use":     {format.Source{LVUUID: "S"}, held, false},
		"an image":              {format.Source{Path: "/image"}, held, false},
		"of an image":           {format.Source{LVUUID: "M"}, format.Header{}, false},
		"of it as a volume":     {format.Source{LVUUID: "W", SnapshotUUID: "M"}, held, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := otherVolume(format.Header{Source: tt.now}, tt.held); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
