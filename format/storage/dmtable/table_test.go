package dmtable

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Table
	}{
		{"no table", "\n", nil},
		{"snapshot", "0 12008 snapshot 253:1 253:2 P 128\n",
			Table{{0, 12008, "snapshot", []string{"253:1", "253:2", "P", "128"}}}},
		{"status without arguments", "0 12008 snapshot-origin \n",
			Table{{0, 12008, "snapshot-origin", nil}}},
		{"two targets", "0 800 linear 254:32 33424\n800 400 linear 254:48 2048\n", Table{
			{0, 800, "linear", []string{"254:32", "33424"}},
			{800, 400, "linear", []string{"254:48", "2048"}}}},
		{"last sector there is", "0 18014398509481983 error", Table{{0, MaxSectors, "error", nil}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
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
		table, err := Parse(tt.text)
		checkError(t, err, tt.want)
		if table != nil {
			t.Errorf("%q: got %+v with an error", tt.text, table)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("0 800 linear 254:32 33424\n800 400 linear 254:48 2048\n")
	f.Add("0 16384 thin-pool 253:19 253:20 128 0 0\n")
	f.Add("0 61440 snapshot-merge 24016/61440 16\n")
	f.Add("0 12008 snapshot 253:1 253:2 P 128 1 discard_zeroes_cow\n")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := Parse(text)
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
		if end > MaxSectors {
			t.Fatalf("table of %d sectors", end)
		}
	})
}

// checkError checks that an error is one line that contains a text.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q, want one line with %q", err, want)
	}
}
