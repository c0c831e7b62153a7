package devmapper

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

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
	// Overflow: a store of the kind "PO" is full. The list is complete, writes to the snapshot
	// failed.
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

// SnapshotStatus is the status line of a thick snapshot. The numbers are there in state Active
// only.
type SnapshotStatus struct {
	State SnapshotState
	// AllocatedSectors of the COW device are in use, MetadataSectors of them by header and lists of
	// exceptions; the device has TotalSectors.
	AllocatedSectors, TotalSectors, MetadataSectors uint64
}

// Exceptions is the number of exceptions that the store has, for its chunk size. It is 0 if
// chunkSectors is. It includes those that are being made: the device may not have them in its list
// yet.
func (s SnapshotStatus) Exceptions(chunkSectors uint64) uint64 {
	if chunkSectors == 0 {
		return 0
	}
	return (s.AllocatedSectors - s.MetadataSectors) / chunkSectors
}

// StatusOfSnapshot asks for the status of the thick snapshot with that number; [kernel.ErrNotDM] if
// device-mapper has none.
func StatusOfSnapshot(ctx context.Context, num kernel.DevNum) (SnapshotStatus, error) {
	status, err := StatusOf(ctx, num)
	if err != nil {
		return SnapshotStatus{}, err
	}
	if len(status) != 1 {
		return SnapshotStatus{}, fmt.Errorf("status of device %s: %d lines, not one", num,
			len(status))
	}
	return ParseSnapshotStatus(status[0])
}

// ParseSnapshotStatus reads the status line of a target of type snapshot or snapshot-merge.
func ParseSnapshotStatus(t dmtable.Target) (SnapshotStatus, error) {
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
		return SnapshotStatus{}, fmt.Errorf("status line of a snapshot: cannot make sense of %q",
			text)
	}
	return s, nil
}

// parseUsage reads "<allocated>/<total> <metadata>". Allocated may be past the total: in a store
// that is full, the kernel has stepped over the next list already.
func parseUsage(args []string) (SnapshotStatus, bool) {
	if len(args) != 2 {
		return SnapshotStatus{}, false
	}
	allocated, total, _ := strings.Cut(args[0], "/")
	var n [3]uint64
	for i, s := range []string{allocated, total, args[1]} {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil || v > dmtable.MaxSectors {
			return SnapshotStatus{}, false
		}
		n[i] = v
	}
	s := SnapshotStatus{State: Active, AllocatedSectors: n[0], TotalSectors: n[1],
		MetadataSectors: n[2]}
	return s, s.MetadataSectors <= s.AllocatedSectors
}
