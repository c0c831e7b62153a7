package devmapper

import "testing"

func TestKinds(t *testing.T) {
	for name, tt := range map[string]struct {
		lv              LogicalVolume
		thick, readOnly bool
	}{
		"plain":                  {lv: LogicalVolume{Attr: "-wi-a-----"}},
		"read-only":              {lv: LogicalVolume{Attr: "-ri-a-----"}, readOnly: true},
		"active read-only":       {lv: LogicalVolume{Attr: "-Ri-a-----"}, readOnly: true},
		"thick snapshot":         {lv: LogicalVolume{Attr: "swi-a-s---", Origin: "o"}, thick: true},
		"merging thick snapshot": {lv: LogicalVolume{Attr: "Swi-a-s---", Origin: "o"}, thick: true},
		"read-only one": {lv: LogicalVolume{Attr: "sri-a-s---", Origin: "o"},
			thick: true, readOnly: true},
		"thin snapshot": {lv: LogicalVolume{Attr: "Vwi---tz-k", Origin: "o", Pool: "p"}},
		"read-only thin snapshot": {lv: LogicalVolume{Attr: "Vri-a-tz--", Origin: "o", Pool: "p"},
			readOnly: true},
		"merging thin snapshot": {lv: LogicalVolume{Attr: "Swi-a-tz--", Origin: "o", Pool: "p"}},
		"cached volume": {
			lv: LogicalVolume{Attr: "Cwi-a-C---", Origin: "lv_corig", Pool: "c"}},
		"volume with integrity": {lv: LogicalVolume{Attr: "gwi-a-----", Origin: "lv_iorig"}},
		"nothing known":         {},
	} {
		if tt.lv.ThickSnapshot() != tt.thick || tt.lv.ReadOnly() != tt.readOnly {
			t.Errorf("%s: thick snapshot %v, read-only %v", name,
				tt.lv.ThickSnapshot(), tt.lv.ReadOnly())
		}
	}
}
