package storage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// A fakeDisk is what sysfs tells of a device, and device-mapper of one of its own.
type fakeDisk struct {
	num, in string // in: the disk that it is a partition of
	start   string // of that, in sectors
	uuid    string // device-mapper's
	slaves  []string
	table   string // "": device-mapper can't be asked
}

// fakeDisks puts devices in place of those of this machine.
func fakeDisks(t *testing.T, disks []fakeDisk) {
	t.Helper()
	fakeSys(t, nil)
	tables := make(map[string]string)
	write := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	dir := func(num string) string { return filepath.Join(kernel.Sys, "devices", num) }
	for _, d := range disks {
		at := dir(d.num)
		if d.in != "" {
			at = filepath.Join(dir(d.in), d.num)
			write(filepath.Join(at, "partition"), "1")
			write(filepath.Join(at, "start"), d.start)
		}
		write(filepath.Join(at, "dev"), d.num)
		if d.uuid != "" {
			write(filepath.Join(at, "dm", "uuid"), d.uuid)
			write(filepath.Join(at, "dm", "name"), "name-of-"+d.num)
		}
		link(at, filepath.Join(kernel.Sys, "dev", "block", d.num))
		tables[d.num] = d.table
	}
	for _, d := range disks {
		for _, s := range d.slaves {
			link(dir(s), filepath.Join(dir(d.num), "slaves", strings.ReplaceAll(s, ":", "-")))
		}
	}
	old := readTable
	t.Cleanup(func() { readTable = old })
	readTable = func(dev kernel.DevNum) (dmtable.Table, error) {
		if tables[dev.String()] == "" {
			return nil, errors.New("not allowed")
		}
		return dmtable.Parse(tables[dev.String()])
	}
}

func TestThinParts(t *testing.T) {
	const kib, sector = 1024, 512
	disk := fakeDisk{num: "8:0"}
	data := fakeDisk{num: "253:1", uuid: "LVM-data", slaves: []string{"8:0"},
		table: "0 8192 linear 8:0 0"}
	meta := fakeDisk{num: "253:2", uuid: "LVM-meta", slaves: []string{"8:0"},
		table: "0 8192 linear 8:0 8192"}
	pool := func(features string) fakeDisk {
		return fakeDisk{num: "253:3", uuid: "LVM-pool-tpool", slaves: []string{"253:1", "253:2"},
			table: "0 8192 thin-pool 253:2 253:1 128 0 " + features}
	}
	thin := func(args string) fakeDisk {
		return fakeDisk{num: "253:4", uuid: "LVM-thin", slaves: []string{"253:3"},
			table: "0 2048 thin 253:3 7" + args}
	}
	const skipping, zeroing = "1 skip_block_zeroing", "0"
	on := func(table string) fakeDisk {
		return fakeDisk{num: "253:9", uuid: "mine", slaves: []string{"253:4"}, table: table}
	}
	direct := ThinPart{Len: 2048 * sector, Block: 64 * kib, Direct: true, Pool: "name-of-253:3"}
	part := func(off, length, first int64) ThinPart {
		return ThinPart{Off: off * sector, Len: length * sector, First: first * sector,
			Block: 64 * kib, Pool: "name-of-253:3"}
	}
	zeroedPart := func(off, length, first int64) ThinPart {
		p := part(off, length, first)
		p.Zeroes = true
		return p
	}
	zeroed := direct
	zeroed.Zeroes = true
	unasked := func(d fakeDisk) fakeDisk { d.table = ""; return d }
	stranger := unasked(on(""))
	tests := []struct {
		name  string
		ask   string
		disks []fakeDisk
		want  []ThinPart
		err   string
	}{
		{"disk", "8:0", nil, nil, ""},
		{"no such device", "9:9", nil, nil, ""},
		{"plain volume", "253:1", nil, nil, ""},
		{"thin", "253:4", []fakeDisk{pool(skipping), thin("")}, []ThinPart{direct}, ""},
		{"thin, zeroed", "253:4", []fakeDisk{pool(zeroing), thin("")}, []ThinPart{zeroed}, ""},
		{"no features", "253:4", []fakeDisk{pool(""), thin("")}, []ThinPart{zeroed}, ""},
		{"external origin", "253:4", []fakeDisk{pool(skipping), thin(" 8:0")},
			[]ThinPart{part(0, 2048, 0)}, ""},
		{"failed pool", "253:4", []fakeDisk{pool(skipping),
			{num: "253:4", uuid: "LVM-thin", table: "0 2048 thin Fail"}}, nil,
			"the thin pool has failed"},
		{"linear", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 8 linear 8:0 0\n8 100 linear 253:4 7\n108 100 linear 253:4 1000")},
			[]ThinPart{part(8, 100, 1), part(108, 100, -892)}, ""},
		{"two in a row", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 8 linear 253:4 7\n8 100 linear 253:4 15")}, []ThinPart{part(0, 108, -7)}, ""},
		{"two in a block", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 8 linear 253:4 8\n8 8 linear 253:4 0")}, nil,
			"different parts of it lie in one block"},
		{"two in a block, zeroed", "253:9",
			[]fakeDisk{pool(zeroing), thin(""), on("0 8 linear 253:4 8\n8 8 linear 253:4 0")},
			[]ThinPart{zeroedPart(0, 8, -8), zeroedPart(8, 8, 8)}, ""},
		{"two beside one another", "253:9",
			[]fakeDisk{pool(skipping), thin(""),
				on("0 128 linear 253:4 128\n128 128 linear 253:4 0")},
			[]ThinPart{part(0, 128, -128), part(128, 128, 128)}, ""},
		{"past its end", "253:9", []fakeDisk{pool(skipping), thin(""), on("0 3000 linear 253:4 7")},
			[]ThinPart{part(0, 2041, -7)}, ""},
		{"crypt", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 100 crypt aes-xts-plain64 :64:logon:x 0 253:4 32768 1 allow_discards")}, nil, ""},
		{"crypt within", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 100 crypt aes-xts-plain64 :64:logon:x 0 253:4 64 1 allow_discards")},
			[]ThinPart{part(0, 100, -64)}, ""},
		{"delay", "253:9", []fakeDisk{pool(skipping), thin(""), on("0 100 delay 253:4 1 500")},
			[]ThinPart{part(0, 100, -1)}, ""},
		{"delay that writes elsewhere", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 100 delay 8:0 1 0 253:4 1 500")}, nil, "by way of delay"},
		{"delay of which too little is known", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 100 delay 253:4 1 500 253:4")}, nil, "by way of delay"},
		{"linear of which too little is known", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 100 linear")}, nil, "by way of linear"},
		{"linear at no sector", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 100 linear 253:4 x")}, nil, "by way of linear"},
		{"error", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 100 error\n100 100 zero")}, nil, ""},
		{"origin of snapshots", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 100 snapshot-origin 253:4")}, []ThinPart{part(0, 100, 0)}, ""},
		{"striped", "253:9", []fakeDisk{pool(skipping), thin(""),
			on("0 100 striped 1 128 253:4 0")}, nil,
			"cannot tell where blocks of a thin pool begin: it stands on name-of-253:3, which " +
				"does not zero its blocks, by way of striped"},
		{"striped, zeroed", "253:9", []fakeDisk{pool(zeroing), thin(""),
			on("0 100 striped 1 128 253:4 0")}, nil, ""},
		{"partition", "253:10", []fakeDisk{pool(skipping), thin(""),
			{num: "253:10", in: "253:4", start: "63"}}, []ThinPart{part(0, 1985, -63)}, ""},
		{"md", "9:0", []fakeDisk{pool(skipping), thin(""), {num: "9:0", slaves: []string{"253:4"}}},
			nil, "by way of another device"},
		{"pool in a pool", "253:4", []fakeDisk{pool(skipping), thin(""),
			{num: "253:1", uuid: "LVM-data", slaves: []string{"253:14"},
				table: "0 8192 linear 253:14 0"},
			{num: "253:13", uuid: "x",
				table: "0 8192 thin-pool 8:0 8:0 128 0 1 skip_block_zeroing"},
			{num: "253:14", uuid: "y", slaves: []string{"253:13"}, table: "0 8192 thin 253:13 1"}},
			nil, "lies in another one"},
		{"loop of devices", "253:9",
			[]fakeDisk{{num: "253:9", uuid: "x", table: "0 8 linear 253:9 0"}}, nil,
			"too many devices"},
		{"LVM's, not asked", "253:1", []fakeDisk{unasked(data)}, nil, ""},
		{"LVM's raid, not asked", "253:9",
			[]fakeDisk{{num: "253:9", uuid: "LVM-raid", slaves: []string{"253:1"}}}, nil, ""},
		{"thin, not asked", "253:4", []fakeDisk{pool(skipping), unasked(thin(""))}, nil,
			"cannot tell where blocks of a thin pool begin: not allowed"},
		{"somebody's, not asked", "253:9", []fakeDisk{pool(skipping), thin(""), stranger}, nil,
			"not allowed"},
		{"somebody's on a disk, not asked", "253:9",
			[]fakeDisk{{num: "253:9", uuid: "x", slaves: []string{"8:0"}}}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			disks := []fakeDisk{disk, meta}
			if tt.name != "pool in a pool" && tt.name != "LVM's, not asked" {
				disks = append(disks, data)
			}
			fakeDisks(t, append(disks, tt.disks...))
			num, err := kernel.Parse(tt.ask)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ThinParts(DeviceID(num))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil ||
				!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
