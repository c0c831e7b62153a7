package devmapper

import (
	"context"
	"strings"
	"testing"

	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

func target(t *testing.T, line string) dmtable.Target {
	t.Helper()
	table, err := dmtable.Parse(line)
	if err != nil || len(table) != 1 {
		t.Fatalf("ParseTable(%q) = %+v, %v", line, table, err)
	}
	return table[0]
}

func TestParseSnapshotStatus(t *testing.T) {
	for _, tt := range []struct {
		line         string
		want         SnapshotStatus
		chunkSectors uint64
		exceptions   uint64
	}{
		{"0 12008 snapshot 640/7200 256", SnapshotStatus{Active, 640, 7200, 256}, 128, 3},
		{"0 12008 snapshot 400/7200 16", SnapshotStatus{Active, 400, 7200, 16}, 8, 48},
		{"0 24000 snapshot 32/2400 32", SnapshotStatus{Active, 32, 2400, 32}, 16, 0},
		{"0 2048 snapshot 0/2048 0", SnapshotStatus{Active, 0, 2048, 0}, 8, 0},
		{"0 2048 snapshot 640/7200 256", SnapshotStatus{Active, 640, 7200, 256}, 0, 0},
		{"0 120000 snapshot-merge 57584/120480 232", SnapshotStatus{Active, 57584, 120480, 232}, 8,
			7169},
		{"0 2048 snapshot 2056/2048 24", SnapshotStatus{Active, 2056, 2048, 24}, 8, 254},
		{"0 12008 snapshot Invalid", SnapshotStatus{State: Invalid}, 8, 0},
		{"0 12008 snapshot-merge Merge failed", SnapshotStatus{State: MergeFailed}, 8, 0},
		{"0 12008 snapshot Overflow", SnapshotStatus{State: Overflow}, 8, 0},
		{"0 12008 snapshot Unknown", SnapshotStatus{State: Unknown}, 8, 0},
	} {
		got, err := ParseSnapshotStatus(target(t, tt.line))
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", tt.line, got, err, tt.want)
		}
		if n := got.Exceptions(tt.chunkSectors); n != tt.exceptions {
			t.Errorf("%s: %d exceptions of %d sectors, want %d", tt.line, n,
				tt.chunkSectors, tt.exceptions)
		}
	}
}

func TestParseSnapshotStatusRefuses(t *testing.T) {
	for _, line := range []string{
		"0 12008 snapshot-origin",
		"0 12008 thin 8064 20607",
		"0 12008 snapshot",
		"0 12008 snapshot Active",
		"0 12008 snapshot Merge",
		"0 12008 snapshot invalid",
		"0 12008 snapshot 640/7200",
		"0 12008 snapshot 640/7200 256 0",
		"0 12008 snapshot 640 256",
		"0 12008 snapshot 8/7200 16",
		"0 12008 snapshot -8/7200 16",
		"0 12008 snapshot 640/x 256",
		"0 12008 snapshot 640/7200/8 256",
		"0 12008 snapshot 18446744073709551615/7200 256",
		"0 12008 snapshot 18446744073709551616/7200 256",
	} {
		got, err := ParseSnapshotStatus(target(t, line))
		checkError(t, err, "status line of a snapshot: ")
		if err != nil && got.State == Active && got != (SnapshotStatus{}) {
			t.Errorf("%s: got %+v with an error", line, got)
		}
	}
}

func TestStatusOfSnapshot(t *testing.T) {
	noSys(t)
	for out, want := range map[string]SnapshotState{"0 12008 snapshot Invalid\n": Invalid,
		"0 12008 snapshot 640/7200 256\n": Active} {
		fakeTool(t, "dmsetup", out, "", "0")
		if got, err := StatusOfSnapshot(context.Background(),
			kernel.DevNum{Major: 253, Minor: 3}); got.State != want || err != nil {
			t.Errorf("%q: %+v, %v; want %v", out, got, err, want)
		}
	}
	fakeTool(t, "dmsetup", "\n", "", "0")
	_, err := StatusOfSnapshot(context.Background(), kernel.DevNum{Major: 253, Minor: 3})
	checkError(t, err, "status of device 253:3: 0 lines")
}

func FuzzSnapshotStatus(f *testing.F) {
	for _, args := range []string{"640/7200 256", "Invalid", "Merge failed"} {
		f.Add("snapshot", args)
	}
	f.Fuzz(func(t *testing.T, kind, args string) {
		line := dmtable.Target{LengthSectors: 8, Type: kind, Args: strings.Fields(args)}
		if s, err := ParseSnapshotStatus(line); err == nil && s.State == Active {
			if s.MetadataSectors > s.AllocatedSectors || s.Exceptions(1) > dmtable.MaxSectors {
				t.Fatalf("bad status %+v", s)
			}
		}
	})
}
