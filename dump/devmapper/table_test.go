package devmapper

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lvmsync/format/storage/kernel"
)

func TestParseTable(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Table
	}{
		{"no table", "\n", nil},
		{"snapshot", "0 12008 snapshot 253:1 253:2 P 128\n", Table{{0, 12008, "snapshot", []string{"253:1", "253:2", "P", "128"}}}},
		{"status without arguments", "0 12008 snapshot-origin \n", Table{{0, 12008, "snapshot-origin", nil}}},
		{"two targets", "0 800 linear 254:32 33424\n800 400 linear 254:48 2048\n", Table{
			{0, 800, "linear", []string{"254:32", "33424"}}, {800, 400, "linear", []string{"254:48", "2048"}}}},
		{"last sector there is", "0 18014398509481983 error", Table{{0, maxSectors, "error", nil}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseTable(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseTableRefuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"No devices found\n", "bad start or length"},
		{"0 12008\n", "no start, length and type"},
		{"-1 12008 linear\n", "bad start or length"},
		{"0 0 linear\n", "bad start or length"},
		{"0 0x10 linear\n", "bad start or length"},
		{"0 18014398509481984 linear\n", "bad start or length"},
		{"18014398509481983 1 linear\n", "bad start or length"},
		{"0 18446744073709551616 linear\n", "bad start or length"},
		{"8 800 linear 254:32 0\n", "at sector 0"},
		{"0 800 linear 254:32 0\n808 8 linear 254:32 0\n", "at sector 800"},
		{"my--vg-lv: 0 800 linear 254:32 0\n", "bad start or length"},
	} {
		table, err := ParseTable(tt.text)
		checkError(t, err, tt.want)
		if table != nil {
			t.Errorf("%q: got %+v with an error", tt.text, table)
		}
	}
}

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
	for name, want := range map[string]Table{
		"empty":               nil,
		"odd: name|1":         {{0, 2048, "linear", []string{"254:32", "2048"}}},
		"my--vg-two":          {{0, 800, "linear", []string{"254:32", "55024"}}, {800, 400, "linear", []string{"254:48", "14048"}}},
		"my--vg-st.snap+x_1":  {{0, 24000, "snapshot", []string{"253:7", "253:8", "P", "16"}}},
		"my--vg-po--ol-tpool": {{0, 16384, "thin-pool", []string{"253:19", "253:20", "128", "0", "0"}}},
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
	tables, err := joinTables("gone: 0 8 error \nstays: 0 8 zero \n", []Device{{Name: "stays"}, {Name: "came"}})
	want := []DeviceTable{{Device{Name: "stays"}, Table{{0, 8, "zero", nil}}}, {Device{Name: "came"}, nil}}
	if diff := cmp.Diff(want, tables, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("tables (-want +got):\n%s\nerror %v", diff, err)
	}
	_, err = joinTables("bad: 0 8\n", []Device{{Name: "bad"}})
	checkError(t, err, "table of device bad")
}

func FuzzParseTable(f *testing.F) {
	for _, name := range []string{"all.table", "all.status", "merging.status"} {
		f.Add(captured(f, name))
	}
	f.Add("0 800 linear 254:32 33424\n800 400 linear 254:48 2048\n")
	f.Add("0 12008 snapshot 253:1 253:2 P 128 1 discard_zeroes_cow\n")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := ParseTable(text)
		if err != nil && table != nil {
			t.Fatal("a table with an error")
		}
		var end uint64
		for _, target := range table {
			if target.Start != end || target.LengthSectors == 0 || target.Type == "" {
				t.Fatalf("bad target %+v", target)
			}
			end += target.LengthSectors
		}
		if end > maxSectors {
			t.Fatalf("table of %d sectors", end)
		}
	})
}
