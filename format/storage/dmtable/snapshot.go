package dmtable

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lvmsync/format/storage/kernel"
)

// maxChunkSectors is the largest chunk that the kernel takes (dm-exception-store.c): what an int
// can count in bytes.
const maxChunkSectors = (1<<31 - 1) >> 9

// Snapshot is the table line of a thick snapshot (kernel: dm-snap.c, snapshot_status,
// STATUSTYPE_TABLE).
type Snapshot struct {
	// Merge is true for the target of type "snapshot-merge": the origin of a snapshot that is being
	// merged into it.
	Merge bool
	// Real is the device with the origin's data, COW that with the exceptions.
	Real, COW kernel.DevNum
	// Persistent is "P" for an exception store on disk, "PO" for one that can say it has
	// overflowed, "N" for one in memory only.
	Persistent string
	// ChunkSectors is the size of a chunk; the store's own header counts, if they differ.
	ChunkSectors uint64
	// Features are the optional ones, for example "discard_passdown_origin".
	Features []string
}

// ParseSnapshot reads a target of a table that is of type snapshot or snapshot-merge.
func ParseSnapshot(t Target) (Snapshot, error) {
	s, err := parseSnapshotArgs(t.Args)
	switch {
	case t.Type != "snapshot" && t.Type != "snapshot-merge":
		err = fmt.Errorf("its type is %q", t.Type)
	case t.Start != 0:
		err = fmt.Errorf("it begins at sector %d", t.Start)
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("table line of a snapshot %q: %w", strings.Join(t.Args, " "),
			err)
	}
	s.Merge = t.Type == "snapshot-merge"
	return s, nil
}

func parseSnapshotArgs(args []string) (s Snapshot, err error) {
	if len(args) < 4 {
		return s, fmt.Errorf("%d words, not at least 4", len(args))
	}
	if s.Real, err = kernel.Parse(args[0]); err != nil {
		return s, err
	}
	if s.COW, err = kernel.Parse(args[1]); err != nil {
		return s, err
	}
	s.Persistent = args[2]
	if !slices.Contains([]string{"P", "PO", "N"}, s.Persistent) {
		return s, fmt.Errorf("unknown kind of exception store %q", s.Persistent)
	}
	s.ChunkSectors, err = strconv.ParseUint(args[3], 10, 64)
	if err != nil || s.ChunkSectors == 0 || s.ChunkSectors&(s.ChunkSectors-1) != 0 ||
		s.ChunkSectors > maxChunkSectors {
		return s, fmt.Errorf("bad chunk size %q", args[3])
	}
	if rest := args[4:]; len(rest) > 0 {
		n, err := strconv.ParseUint(rest[0], 10, 32)
		if err != nil || n != uint64(len(rest)-1) {
			return s, fmt.Errorf("%q is not the number of features", rest[0])
		}
		s.Features = slices.Clone(rest[1:])
	}
	return s, nil
}
