package dmtable

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format/storage/kernel"
)

func TestLegs(t *testing.T) {
	at := func(minor uint32, start, length uint64) Leg {
		return Leg{Dev: kernel.DevNum{Major: 253, Minor: minor}, Start: start, Length: length}
	}
	mixed := func(l Leg) Leg { l.Mixed = true; return l }
	for line, want := range map[string][]Leg{
		"0 100 linear 253:1 2048":                 {at(1, 2048, 100)},
		"0 100 flakey 253:1 8 0 1 1 error_writes": {at(1, 8, 100)},
		"0 100 dust 253:1 8 512":                  {at(1, 8, 100)},
		"0 100 delay 253:1 8 5":                   {at(1, 8, 100)},
		"0 100 delay 253:1 8 0 253:2 16 5": {
			at(1, 8, 100), at(2, 16, 100)},
		"0 100 delay 253:1 8 0 253:2 16 5 253:3 24 5": {
			at(1, 8, 100), at(2, 16, 100), at(3, 24, 100)},
		"0 100 log-writes 253:1 253:2":                                       {at(1, 0, 100)},
		"0 100 snapshot-origin 253:1":                                        {at(1, 0, 100)},
		"0 8 error\n8 100 linear 253:1 16":                                   {at(1, 16, 100)},
		"0 8 error\n8 100 log-writes 253:1 253:2":                            {at(1, 8, 100)},
		"0 8 error\n8 100 snapshot-origin 253:1":                             {at(1, 8, 100)},
		"0 100 crypt aes-xts-plain64 :64:logon:x 0 253:1 32768":              {at(1, 32768, 100)},
		"0 100 crypt aes-xts-plain64 :64:logon:x 0 253:1 8 1 allow_discards": {at(1, 8, 100)},
		"0 100 striped 2 8 253:1 8 253:2 16": {
			mixed(at(1, 8, 50)), mixed(at(2, 16, 50))},
		"0 100 error":        nil,
		"0 100 thin 253:1 7": nil,
	} {
		table, err := Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		legs, ok := table[len(table)-1].Legs()
		if d := cmp.Diff(want, legs); d != "" || !ok {
			t.Errorf("%s: %v (-want +got):\n%s", line, ok, d)
		}
	}
	for _, line := range []string{
		"0 100 raid raid1 3 0 region_size 1024 2 253:0 253:1 253:2 253:3",
		"0 100 snapshot 253:1 253:2 P 8",
		"0 100 linear", "0 100 linear 253:1", "0 100 linear x 0", "0 100 linear 253:1 -1",
		"0 100 striped 0 8", "0 100 striped 2 8 253:1 0", "0 100 striped x 8", "0 100 striped",
		"0 100 crypt a b c",
	} {
		table, err := Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		if legs, ok := table[0].Legs(); ok {
			t.Errorf("%s: %v", line, legs)
		}
	}
}
