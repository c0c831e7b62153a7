package dmtable

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format/storage/kernel"
)

func target(t *testing.T, line string) Target {
	t.Helper()
	table, err := Parse(line)
	if err != nil || len(table) != 1 {
		t.Fatalf("Parse(%q) = %+v, %v", line, table, err)
	}
	return table[0]
}

func TestParseSnapshot(t *testing.T) {
	dm := func(minor uint32) kernel.DevNum { return kernel.DevNum{Major: 253, Minor: minor} }
	for line, want := range map[string]Snapshot{
		"0 12008 snapshot 253:1 253:2 P 128": {
			Real: dm(1), COW: dm(2), Persistent: "P", ChunkSectors: 128},
		"0 120000 snapshot-merge 253:15 253:16 P 8": {
			Merge: true, Real: dm(15), COW: dm(16), Persistent: "P", ChunkSectors: 8},
		"0 2048 snapshot 253:28 253:29 N 8": {
			Real: dm(28), COW: dm(29), Persistent: "N", ChunkSectors: 8},
		"0 2048 snapshot 253:28 253:29 PO 8 1 discard_zeroes_cow": {
			Real: dm(28), COW: dm(29), Persistent: "PO", ChunkSectors: 8,
			Features: []string{"discard_zeroes_cow"}},
		"0 2048 snapshot 253:28 253:29 PO 8 2 discard_zeroes_cow discard_passdown_origin": {
			Real: dm(28), COW: dm(29), Persistent: "PO", ChunkSectors: 8,
			Features: []string{"discard_zeroes_cow", "discard_passdown_origin"}},
	} {
		got, err := ParseSnapshot(target(t, line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

func TestParseSnapshotRefuses(t *testing.T) {
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
		got, err := ParseSnapshot(target(t, line))
		checkError(t, err, want)
		if diff := cmp.Diff(Snapshot{}, got); diff != "" {
			t.Errorf("%s: got something with an error:\n%s", line, diff)
		}
	}
	_, err := ParseSnapshot(Target{Start: 8, LengthSectors: 8, Type: "snapshot",
		Args: []string{"253:1", "253:2", "P", "8"}})
	checkError(t, err, "begins at sector 8")
}

func FuzzSnapshot(f *testing.F) {
	for _, args := range []string{"253:1 253:2 P 128", "253:28 253:29 PO 8 1 discard_zeroes_cow"} {
		f.Add("snapshot", args)
	}
	f.Fuzz(func(t *testing.T, kind, args string) {
		line := Target{LengthSectors: 8, Type: kind, Args: strings.Fields(args)}
		if s, err := ParseSnapshot(line); err == nil {
			if s.ChunkSectors == 0 || s.ChunkSectors > maxChunkSectors ||
				len(s.Features) > len(line.Args) {
				t.Fatalf("bad target %+v", s)
			}
		}
	})
}
