package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// fakeStack shows devices that this machine does not have: sda with the partitions sda1 and sda2,
// and device-mapper devices, by number, with the given tables in sectors. md0 is made of dm-90 and
// dm-91.
func fakeStack(t *testing.T, tables map[uint32]string) {
	t.Helper()
	files := map[string]string{
		"dev/block/8:0/dev": "8:0", "dev/block/8:0/size": "1000000",
		"dev/block/dev":     "8:0", // what a partition is a part of
		"dev/block/8:1/dev": "8:1", "dev/block/8:1/size": "400000", "dev/block/8:1/start": "2048",
		"dev/block/8:2/dev": "8:2", "dev/block/8:2/size": "400000", "dev/block/8:2/start": "500000",
		"dev/block/9:0/dev": "9:0", "dev/block/9:0/size": "1000",
		"dev/block/9:0/md/metadata_version": "1.2",
		"dev/block/9:0/slaves/dm-90/dev":    "253:90", "dev/block/9:0/slaves/dm-91/dev": "253:91",
	}
	parsed := make(map[kernel.DevNum]dmtable.Table)
	for minor, text := range tables {
		table, err := dmtable.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		parsed[device(minor).DevNum] = table
		size := uint64(0)
		for _, target := range table {
			size += target.LengthSectors
		}
		dir := fmt.Sprintf("dev/block/253:%d/", minor)
		files[dir+"dev"], files[dir+"size"], files[dir+"dm/name"] = fmt.Sprintf("253:%d", minor),
			fmt.Sprint(size), "name"
	}
	fakeSys(t, files)
	old := readTable
	t.Cleanup(func() { readTable = old })
	readTable = func(num kernel.DevNum) (dmtable.Table, error) { return parsed[num], nil }
}

func TestOverlaps(t *testing.T) {
	fakeStack(t, map[uint32]string{
		// A volume in two parts, with one between them, in the volume group on sda2.
		10: "0 1000 linear 8:2 2048\n1000 1000 linear 8:2 4048",
		11: "0 1000 linear 8:2 3048",
		12: "0 10 linear 8:2 4040", // somebody's own, across both
		13: "0 100 linear 8:0 " + fmt.Sprint(500000+2048+999),
		// A thick snapshot: origin, -real, -cow, and the snapshot; read only by hand: a device on
		// -real.
		20: "0 1000 snapshot-origin 253:21",
		21: "0 1000 linear 8:2 10000",
		22: "0 500 linear 8:2 11000",
		23: "0 1000 snapshot 253:21 253:22 P 128",
		24: "0 1000 linear 253:21 0",
		// A pool with two thin volumes, one of them on an external origin.
		30: "0 1000 thin-pool 253:31 253:32 128 0 0",
		31: "0 100 linear 8:2 20000",
		32: "0 1000 linear 8:2 21000",
		33: "0 5000 thin 253:30 1",
		34: "0 5000 thin 253:30 2 253:11",
		35: "0 1000 linear 253:30 0", // LVM's own for the pool
		36: "0 10 linear 8:2 21500",
		// Two volumes on a RAID array; one is striped, with one beside it; encryption; multipath.
		40: "0 1000 raid raid1 3 0 region_size 1024 2 253:41 253:42 253:43 253:44",
		41: "0 8 linear 8:2 30000",
		42: "0 1000 linear 8:2 31000",
		43: "0 8 linear 8:1 30000",
		44: "0 1000 linear 8:1 31000",
		45: "0 500 linear 253:40 0",
		46: "0 500 linear 253:40 500",
		50: "0 1000 striped 2 128 8:1 50000 8:2 50000",
		51: "0 500 linear 8:1 50500",
		52: "0 500 linear 8:1 50499",
		60: "0 1000 crypt aes-xts-plain64 :32:logon:x 0 8:1 60000",
		61: "0 1000 linear 8:1 60999",
		62: "0 1000 linear 8:1 61000",
		70: "0 1000 multipath 0 0 2 1 service-time 0 1 2 253:71 1 1 service-time 0 1 2 253:72 1 1",
		71: "0 1000 linear 8:1 70000",
		72: "0 1000 linear 8:2 70000",
		73: "0 500 linear 253:70 0",
		74: "0 500 linear 253:70 500",
		80: "0 1000 delay 8:1 80000 500 8:2 80000 500",
		81: "0 1000 error",
		90: "0 1000 linear 8:1 90000",
		91: "0 1000 linear 8:2 90000",
		92: "0 10 linear 8:2 90010",
		// Drivers that take the sectors of the whole device for those below; one also has a log.
		100: "0 1000 linear 8:1 100000",
		101: "0 100 error\n100 100 snapshot-origin 253:100",
		102: "0 100 error\n100 100 log-writes 253:100 253:103",
		103: "0 100 linear 8:2 100000",
		104: "0 100 linear 253:100 0",
		105: "0 100 linear 253:100 100",
		106: "0 8 linear 253:103 50",
	})
	dm := device
	disk, one, two := numbered(8, 0), numbered(8, 1), numbered(8, 2)
	md := numbered(9, 0)
	for _, test := range []struct {
		a, b ID
		want bool
	}{
		{disk, one, true}, {one, two, false}, {dm(10), disk, true}, {dm(10), two, true},
		{dm(10), one, false},
		{dm(10), dm(11), false}, {dm(10), dm(12), true}, {dm(11), dm(12), true},
		{dm(10), dm(13), true}, {dm(11), dm(13), true},

		{dm(20), dm(21), true}, {dm(20), dm(23), false}, {dm(23), dm(21), false},
		{dm(23), dm(22), true},
		{dm(24), dm(20), true}, {dm(24), dm(23), false}, {dm(23), two, true}, {dm(20), two, true},
		{dm(20), dm(10), false},

		{dm(33), dm(34), false}, {dm(33), dm(30), true}, {dm(33), dm(32), true},
		{dm(33), dm(31), true}, {dm(33), two, true},
		{dm(33), dm(35), true}, {dm(33), dm(36), true}, {dm(33), dm(10), false},
		{dm(34), dm(11), false}, {dm(33), one, false},

		{dm(45), dm(46), false}, {dm(45), dm(40), true}, {dm(45), dm(42), true},
		{dm(45), dm(44), true}, {dm(45), one, true},
		{dm(50), dm(51), false}, {dm(50), dm(52), true}, {dm(50), dm(51), false},
		{dm(50), two, true},
		{dm(60), dm(61), true}, {dm(60), dm(62), false},
		{dm(73), dm(74), false}, {dm(73), dm(71), true}, {dm(70), dm(72), true},
		{dm(80), one, true}, {dm(80), two, true}, {dm(81), disk, false},
		{md, dm(90), true}, {md, dm(91), true}, {md, dm(92), true}, {md, dm(10), false},
		{md, one, true},
		{dm(101), dm(104), false}, {dm(101), dm(105), true}, {dm(101), dm(102), true},
		{dm(102), dm(104), false}, {dm(102), dm(105), true}, {dm(102), dm(106), true},
	} {
		a, err := Of(test.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Of(test.b)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Overlaps(b); got != test.want || b.Overlaps(a) != got {
			t.Errorf("%s and %s: %v, %v; want %v", test.a, test.b, got, b.Overlaps(a), test.want)
		}
	}
}

// Where the tables can't be had, the kernel still says what a device is made of.
func TestOverlapsWithoutTables(t *testing.T) {
	fakeStack(t, nil)
	fakeSys(t, map[string]string{
		"dev/block/8:0/dev": "8:0", "dev/block/8:0/size": "1000000",
		"dev/block/dev":     "8:0",
		"dev/block/8:2/dev": "8:2", "dev/block/8:2/size": "400000", "dev/block/8:2/start": "500000",
		"dev/block/253:1/size": "1000", "dev/block/253:1/dm/name": "a",
		"dev/block/253:1/slaves/sda2/dev": "8:2",
		"dev/block/253:2/size":            "1000", "dev/block/253:2/dm/name": "b",
		"dev/block/253:2/slaves/sda2/dev": "8:2",
		"dev/block/253:3/size":            "1000", "dev/block/253:3/dm/name": "c",
		"dev/block/253:3/slaves/sdb/dev": "8:16",
		"dev/block/8:16/dev":             "8:16", "dev/block/8:16/size": "1000000",
	})
	one, err := Of(device(1))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[ID]bool{device(2): false, numbered(8, 2): true,
		numbered(8, 0): true} {
		other, err := Of(id)
		if err != nil || one.Overlaps(other) != want {
			t.Errorf("%s: %v, %v; want %v", id, one.Overlaps(other), err, want)
		}
		if may, err := MayShare(device(1), id); err != nil || !may {
			t.Errorf("%s can't share storage (%v)", id, err)
		}
	}
	if may, err := MayShare(device(1), device(3)); err != nil || may {
		t.Errorf("devices on two disks may share storage (%v)", err)
	}
}

// What is flushed comes down to what is flushed later, however often a device is met. What starts
// alike has one header; what lies somewhere in the same devices need not.
func TestSameStart(t *testing.T) {
	fakeStack(t, map[uint32]string{
		10: "0 100 linear 8:2 2048\n100 100 linear 8:2 4048",
		11: "0 100 linear 8:2 2048",
		12: "0 100 linear 8:2 2056",
		13: "0 100 linear 8:2 4048",
		20: "0 1000 striped 2 128 8:1 50000 8:2 50000",
		21: "0 500 linear 253:20 0",
		22: "0 500 linear 253:20 500",
		23: "0 500 linear 8:1 50000",
		30: "0 1000 thin-pool 8:1 8:2 128 0 0",
		31: "0 5000 thin 253:30 1",
		32: "0 5000 thin 253:30 2",
	})
	for _, test := range []struct {
		a, b uint32
		want bool
	}{
		{10, 10, true}, {10, 11, true}, {11, 12, false}, {10, 13, false}, {20, 21, true},
		{20, 22, false}, {21, 22, false},
		{20, 23, false}, {31, 31, true}, {31, 32, false}, {30, 31, false},
	} {
		for _, ab := range [][2]ID{{device(test.a), device(test.b)},
			{device(test.b), device(test.a)}} {
			if got, err := SameStart(ab[0], ab[1], 512); err != nil || got != test.want {
				t.Errorf("%s and %s: %v, %v; want %v", ab[0], ab[1], got, err, test.want)
			}
		}
	}
}

func TestStorageInOrder(t *testing.T) {
	fakeStack(t, map[uint32]string{
		1: "0 10 linear 253:2 0\n10 10 linear 253:3 0", 2: "0 10 linear 253:4 0",
		3: "0 10 linear 253:4 100", 4: "0 200 linear 8:1 0",
	})
	s, err := Of(device(1))
	if err != nil {
		t.Fatal(err)
	}
	want := []ID{device(2), device(3), device(4), numbered(8, 1), numbered(8, 0)}
	if diff := cmp.Diff(want, s.below()); diff != "" {
		t.Errorf("below (-want +got):\n%s", diff)
	}
}

func TestSpans(t *testing.T) {
	for _, test := range []struct {
		a, b []span
		want bool
	}{
		{nil, []span{{0, 1}}, false},
		{[]span{{0, 100}, {10, 20}}, []span{{50, 60}}, true},
		{[]span{{0, 10}, {90, 100}}, []span{{10, 90}}, false},
		{[]span{{90, 100}, {0, 10}}, []span{{99, 200}, {20, 30}}, true},
		{[]span{{0, 5}, {0, 100}}, []span{{50, 60}}, true},
		{[]span{{5, 5}}, []span{{0, 10}}, false},
	} {
		if got := overlap(test.a, test.b); got != test.want || overlap(test.b, test.a) != got {
			t.Errorf("overlap(%v, %v) = %v, want %v", test.a, test.b, got, test.want)
		}
	}
	for _, test := range []struct {
		spans []span
		want  bool
	}{
		{nil, false}, {[]span{{0, 10}}, true}, {[]span{{5, 10}, {0, 5}}, true},
		{[]span{{0, 4}, {5, 10}}, false},
		{[]span{{0, 9}}, false}, {[]span{{0, 3}, {0, 20}}, true}, {[]span{{1, 10}}, false},
	} {
		if got := covers(test.spans, span{0, 10}); got != test.want {
			t.Errorf("covers(%v) = %v, want %v", test.spans, got, test.want)
		}
	}
}

func TestPlaces(t *testing.T) {
	fakeStack(t, map[uint32]string{
		1: "0 1000 crypt aes-xts-plain64 :32:logon:x 0 253:2 100",
		2: "0 1100 linear 8:2 2048",
		3: "0 1000 crypt aes-xts-plain64 :32:logon:x 0 8:2 100",
		4: "0 5000 thin 253:3 1",
	})
	uuid := filepath.Join(device(2).Dir(), "dm", "uuid")
	if err := os.WriteFile(uuid, []byte("LVM-abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sector := int64(512)
	for _, test := range []struct {
		id   ID
		want []format.Place
	}{
		{device(1), []format.Place{{ID: "253:1"}, // not what LVM lies on
			{ID: "uuid LVM-abcdef", Offset: 100 * sector, Length: 1000 * sector}}},
		{device(2), []format.Place{{ID: "uuid LVM-abcdef"}}},
		{device(3), []format.Place{
			{ID: "253:3"},
			{ID: "8:2", Offset: 100 * sector, Length: 1000 * sector},
			{ID: "8:0", Offset: (100 + 500000) * sector, Length: 1000 * sector},
		}},
		{device(4), []format.Place{{ID: "253:4"}}}, // somewhere in the pool
	} {
		got, err := places("", test.id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("places of %s (-want +got):\n%s", test.id, diff)
		}
	}
}
