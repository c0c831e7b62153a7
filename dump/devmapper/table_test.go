package devmapper

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

func TestJoinTables(t *testing.T) {
	devices, err := parseDevices(captured(t, "all.info"))
	if err != nil {
		t.Fatal(err)
	}
	tables, err := joinTables(captured(t, "all.table"), devices)
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]DeviceTable)
	for _, d := range tables {
		byName[d.Name] = d
	}
	if len(tables) != len(devices) || len(byName) != len(devices) {
		t.Fatalf("%d tables of %d names for %d devices", len(tables), len(byName), len(devices))
	}
	for name, want := range map[string]dmtable.Table{
		"empty": nil,
		"odd: name|1": {
			{Start: 0, LengthSectors: 2048, Type: "linear", Args: []string{"254:32", "2048"}}},
		"my--vg-two": {
			{Start: 0, LengthSectors: 800, Type: "linear", Args: []string{"254:32", "55024"}},
			{Start: 800, LengthSectors: 400, Type: "linear", Args: []string{"254:48", "14048"}}},
		"my--vg-st.snap+x_1": {{Start: 0, LengthSectors: 24000, Type: "snapshot",
			Args: []string{"253:7", "253:8", "P", "16"}}},
		"my--vg-po--ol-tpool": {{Start: 0, LengthSectors: 16384, Type: "thin-pool",
			Args: []string{"253:19", "253:20", "128", "0", "0"}}},
	} {
		if diff := cmp.Diff(want, byName[name].Table, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("table of %s (-want +got):\n%s", name, diff)
		}
	}
	if got := byName["my--vg-str.ip+ed"].Num; got != (kernel.DevNum{Major: 253, Minor: 6}) {
		t.Errorf("number of the striped origin: %v", got)
	}
}

// A device came after the table was asked for, another went.
func TestJoinTablesThatDiffer(t *testing.T) {
	tables, err := joinTables("gone: 0 8 error \nstays: 0 8 zero \n",
		[]Device{{Name: "stays"}, {Name: "came"}})
	want := []DeviceTable{{Device{Name: "stays"},
		dmtable.Table{{Start: 0, LengthSectors: 8, Type: "zero"}}}, {Device{Name: "came"}, nil}}
	if diff := cmp.Diff(want, tables, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("tables (-want +got):\n%s\nerror %v", diff, err)
	}
	_, err = joinTables("bad: 0 8\n", []Device{{Name: "bad"}})
	checkError(t, err, "table of device bad")
}
