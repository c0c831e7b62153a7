package dmtable

import "testing"

func TestPassesTo(t *testing.T) {
	for line, want := range map[string]string{
		"0 8192 snapshot-origin 253:12":         "253:12",
		"0 8192 linear 253:14 0":                "253:14",
		"0 8192 linear 253:14 8":                "",
		"0 8192 linear 253:14":                  "",
		"0 8192 linear /dev/dm-1 0":             "",
		"0 8192 snapshot-merge 253:1 253:2 P 8": "",
		"0 8192 thin 253:2 5":                   "",
		"0 8192 striped 1 128 253:1 0":          "",
	} {
		table, err := Parse(line + "\n")
		if err != nil {
			t.Fatal(err)
		}
		num, ok := table[0].PassesTo()
		if ok != (want != "") || ok && num.String() != want {
			t.Errorf("%s: passes to %v (%v), want %q", line, num, ok, want)
		}
	}
	if _, ok := (Target{Start: 8, Type: "linear", Args: []string{"253:1", "0"}}).PassesTo(); ok {
		t.Error("the second line of a table passes on to the same sectors")
	}
}
