package devmapper

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lvmsync/format/storage/kernel"
)

// maxChunkSectors is the largest chunk that the kernel takes (dm-exception-store.c): what an int can count in bytes.
const maxChunkSectors = (1<<31 - 1) >> 9

// SnapshotTarget is the table line of a thick snapshot (kernel: dm-snap.c, snapshot_status, STATUSTYPE_TABLE).
type SnapshotTarget struct {
	// Merge is true for the target of type "snapshot-merge": the origin of a snapshot that is being merged into it.
	Merge bool
	// Real is the device with the origin's data, COW that with the exceptions.
	Real, COW kernel.DevNum
	// Persistent is "P" for an exception store on disk, "PO" for one that can say it has overflowed, "N" for one in
	// memory only.
	Persistent string
	// ChunkSectors is the size of a chunk; the store's own header counts, if they differ.
	ChunkSectors uint64
	// Features are the optional ones, for example "discard_passdown_origin".
	Features []string
}

// ParseSnapshotTarget reads a target of a table that is of type snapshot or snapshot-merge.
func ParseSnapshotTarget(t Target) (SnapshotTarget, error) {
	s, err := parseSnapshotArgs(t.Args)
	switch {
	case t.Type != "snapshot" && t.Type != "snapshot-merge":
		err = fmt.Errorf("its type is %q", t.Type)
	case t.Start != 0:
		err = fmt.Errorf("it begins at sector %d", t.Start)
	}
	if err != nil {
		return SnapshotTarget{}, fmt.Errorf("table line of a snapshot %q: %w", strings.Join(t.Args, " "), err)
	}
	s.Merge = t.Type == "snapshot-merge"
	return s, nil
}

func parseSnapshotArgs(args []string) (s SnapshotTarget, err error) {
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
	if err != nil || s.ChunkSectors == 0 || s.ChunkSectors&(s.ChunkSectors-1) != 0 || s.ChunkSectors > maxChunkSectors {
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

// SnapshotState is the state of a thick snapshot.
type SnapshotState int

// The states of a thick snapshot (kernel: dm-snap.c, snapshot_status, STATUSTYPE_INFO).
const (
	// Unknown: the kernel does not tell.
	Unknown SnapshotState = iota
	// Active: the list of exceptions is complete.
	Active
	// Invalid: the store overflowed or failed, and exceptions are missing.
	Invalid
	// MergeFailed: merging it into the origin failed half-way.
	MergeFailed
	// Overflow: a store of the kind "PO" is full. The list is complete, writes to the snapshot failed.
	Overflow
)

// String names the state as the kernel does.
func (s SnapshotState) String() string {
	switch s {
	case Active:
		return "Active"
	case Invalid:
		return "Invalid"
	case MergeFailed:
		return "Merge failed"
	case Overflow:
		return "Overflow"
	}
	return "Unknown"
}

// SnapshotStatus is the status line of a thick snapshot. The numbers are there in state Active only.
type SnapshotStatus struct {
	State SnapshotState
	// AllocatedSectors of the COW device are in use, MetadataSectors of them by header and lists of exceptions; the
	// device has TotalSectors.
	AllocatedSectors, TotalSectors, MetadataSectors uint64
}

// Exceptions is the number of exceptions that the store has, for its chunk size. It is 0 if chunkSectors is. It
// includes those that are being made: the device may not have them in its list yet.
func (s SnapshotStatus) Exceptions(chunkSectors uint64) uint64 {
	if chunkSectors == 0 {
		return 0
	}
	return (s.AllocatedSectors - s.MetadataSectors) / chunkSectors
}

// StatusOfSnapshot asks for the status of the thick snapshot with that number; [kernel.ErrNotDM] if device-mapper has none.
func StatusOfSnapshot(ctx context.Context, num kernel.DevNum) (SnapshotStatus, error) {
	status, err := StatusOf(ctx, num)
	if err != nil {
		return SnapshotStatus{}, err
	}
	if len(status) != 1 {
		return SnapshotStatus{}, fmt.Errorf("status of device %s: %d lines, not one", num, len(status))
	}
	return ParseSnapshotStatus(status[0])
}

// ParseSnapshotStatus reads the status line of a target of type snapshot or snapshot-merge.
func ParseSnapshotStatus(t Target) (SnapshotStatus, error) {
	if t.Type != "snapshot" && t.Type != "snapshot-merge" {
		return SnapshotStatus{}, fmt.Errorf("status line of a snapshot: its type is %q", t.Type)
	}
	text := strings.Join(t.Args, " ")
	for _, state := range []SnapshotState{Invalid, MergeFailed, Overflow, Unknown} {
		if text == state.String() {
			return SnapshotStatus{State: state}, nil
		}
	}
	s, ok := parseUsage(t.Args)
	if !ok {
		return SnapshotStatus{}, fmt.Errorf("status line of a snapshot: cannot make sense of %q", text)
	}
	return s, nil
}

// parseUsage reads "<allocated>/<total> <metadata>". Allocated may be past the total: in a store that is full, the
// kernel has stepped over the next list already.
func parseUsage(args []string) (SnapshotStatus, bool) {
	if len(args) != 2 {
		return SnapshotStatus{}, false
	}
	allocated, total, _ := strings.Cut(args[0], "/")
	var n [3]uint64
	for i, s := range []string{allocated, total, args[1]} {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil || v > maxSectors {
			return SnapshotStatus{}, false
		}
		n[i] = v
	}
	s := SnapshotStatus{State: Active, AllocatedSectors: n[0], TotalSectors: n[1], MetadataSectors: n[2]}
	return s, s.MetadataSectors <= s.AllocatedSectors
}
