package devmapper

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format/storage/kernel"
)

func target(t *testing.T, line string) Target {
	t.Helper()
	table, err := ParseTable(line)
	if err != nil || len(table) != 1 {
		t.Fatalf("ParseTable(%q) = %+v, %v", line, table, err)
	}
	return table[0]
}

func TestParseSnapshotTarget(t *testing.T) {
	for line, want := range map[string]SnapshotTarget{
		"0 12008 snapshot 253:1 253:2 P 128":        {Real: kernel.DevNum{Major: 253, Minor: 1}, COW: kernel.DevNum{Major: 253, Minor: 2}, Persistent: "P", ChunkSectors: 128},
		"0 120000 snapshot-merge 253:15 253:16 P 8": {Merge: true, Real: kernel.DevNum{Major: 253, Minor: 15}, COW: kernel.DevNum{Major: 253, Minor: 16}, Persistent: "P", ChunkSectors: 8},
		"0 2048 snapshot 253:28 253:29 N 8":         {Real: kernel.DevNum{Major: 253, Minor: 28}, COW: kernel.DevNum{Major: 253, Minor: 29}, Persistent: "N", ChunkSectors: 8},
		"0 2048 snapshot 253:28 253:29 PO 8 1 discard_zeroes_cow": {Real: kernel.DevNum{Major: 253, Minor: 28}, COW: kernel.DevNum{Major: 253, Minor: 29}, Persistent: "PO",
			ChunkSectors: 8, Features: []string{"discard_zeroes_cow"}},
		"0 2048 snapshot 253:28 253:29 PO 8 2 discard_zeroes_cow discard_passdown_origin": {Real: kernel.DevNum{Major: 253, Minor: 28}, COW: kernel.DevNum{Major: 253, Minor: 29},
			Persistent: "PO", ChunkSectors: 8, Features: []string{"discard_zeroes_cow", "discard_passdown_origin"}},
	} {
		got, err := ParseSnapshotTarget(target(t, line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

func TestParseSnapshotTargetRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"0 12008 snapshot-origin 253:1":                    `type is "snapshot-origin"`,
		"0 12008 linear 253:1 253:2 P 128":                 `type is "linear"`,
		"0 12008 snapshot 253:1 253:2 P":                   "3 words",
		"0 12008 snapshot vda 253:2 P 128":                 `"vda" is not a device number`,
		"0 12008 snapshot 253:1 253 P 128":                 `"253" is not a device number`,
		"0 12008 snapshot 253:1 4294967296:2 P 128":        "not a device number",
		"0 12008 snapshot 253:1 253:2 Q 128":               `unknown kind of exception store "Q"`,
		"0 12008 snapshot 253:1 253:2 P 0":                 `bad chunk size "0"`,
		"0 12008 snapshot 253:1 253:2 P 24":                `bad chunk size "24"`,
		"0 12008 snapshot 253:1 253:2 P 8388608":           `bad chunk size "8388608"`,
		"0 12008 snapshot 253:1 253:2 P -8":                `bad chunk size "-8"`,
		"0 12008 snapshot 253:1 253:2 P 128 1":             `"1" is not the number`,
		"0 12008 snapshot 253:1 253:2 P 128 1 a b":         `"1" is not the number`,
		"0 12008 snapshot 253:1 253:2 P 128 discard_x":     `"discard_x" is not the number`,
		"0 12008 snapshot 253:1 253:2 P 128 4294967297 a ": "is not the number",
	} {
		got, err := ParseSnapshotTarget(target(t, line))
		checkError(t, err, want)
		if diff := cmp.Diff(SnapshotTarget{}, got); diff != "" {
			t.Errorf("%s: got something with an error:\n%s", line, diff)
		}
	}
	_, err := ParseSnapshotTarget(Target{Start: 8, LengthSectors: 8, Type: "snapshot", Args: []string{"253:1", "253:2", "P", "8"}})
	checkError(t, err, "begins at sector 8")
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
		{"0 120000 snapshot-merge 57584/120480 232", SnapshotStatus{Active, 57584, 120480, 232}, 8, 7169},
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
			t.Errorf("%s: %d exceptions of %d sectors, want %d", tt.line, n, tt.chunkSectors, tt.exceptions)
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
	for out, want := range map[string]SnapshotState{"0 12008 snapshot Invalid\n": Invalid, "0 12008 snapshot 640/7200 256\n": Active} {
		fakeTool(t, "dmsetup", out, "", "0")
		if got, err := StatusOfSnapshot(context.Background(), kernel.DevNum{Major: 253, Minor: 3}); got.State != want || err != nil {
			t.Errorf("%q: %+v, %v; want %v", out, got, err, want)
		}
	}
	fakeTool(t, "dmsetup", "\n", "", "0")
	_, err := StatusOfSnapshot(context.Background(), kernel.DevNum{Major: 253, Minor: 3})
	checkError(t, err, "status of device 253:3: 0 lines")
}

func FuzzSnapshot(f *testing.F) {
	for _, args := range []string{"253:1 253:2 P 128", "253:28 253:29 PO 8 1 discard_zeroes_cow", "640/7200 256", "Invalid", "Merge failed"} {
		f.Add("snapshot", args)
	}
	f.Fuzz(func(t *testing.T, kind, args string) {
		line := Target{LengthSectors: 8, Type: kind, Args: strings.Fields(args)}
		if s, err := ParseSnapshotTarget(line); err == nil {
			if s.ChunkSectors == 0 || s.ChunkSectors > maxChunkSectors || len(s.Features) > len(line.Args) {
				t.Fatalf("bad target %+v", s)
			}
		}
		if s, err := ParseSnapshotStatus(line); err == nil && s.State == Active {
			if s.MetadataSectors > s.AllocatedSectors || s.Exceptions(1) > maxSectors {
				t.Fatalf("bad status %+v", s)
			}
		}
	})
}
