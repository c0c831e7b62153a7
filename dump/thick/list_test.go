package thick

import (
	"errors"
	"testing"

	"lvmsync/dump"
	"lvmsync/dump/devmapper"
)

// status is what the kernel says of a store with chunks of 4 KiB (8 sectors, 256 exceptions in an
// area) in which next is the next free chunk, and area the one that is being filled.
func status(next, area uint64) devmapper.SnapshotStatus {
	return devmapper.SnapshotStatus{State: devmapper.Active, AllocatedSectors: next * 8,
		TotalSectors: 1 << 20, MetadataSectors: (area + 2) * 8}
}

// The kernel's count is no measure of how many exceptions there must be, but for areas that were
// full before.
func TestCheckCount(t *testing.T) {
	tests := []struct {
		name          string
		n             uint64
		before, after devmapper.SnapshotStatus
		wrong         bool
	}{
		{"none", 0, status(2, 0), status(2, 0), false},
		{"ten", 10, status(12, 0), status(12, 0), false},
		{"one is being made", 10, status(13, 0), status(13, 0), false},
		{"thousand are being made", 10, status(1012+3, 0), status(1012+3, 0), false},
		{"the last of an area is being made", 255, status(259, 0), status(259, 0), false},
		{"the last of an area has been made since", 256, status(259, 0), status(259, 1), false},
		{"a full area", 256, status(259, 1), status(259, 1), false},
		{"one more than a full area", 257, status(260, 1), status(260, 1), false},
		{"more since", 300, status(12, 0), status(303, 1), false},
		{"a full area was not read", 255, status(259, 1), status(259, 1), true},
		{"the second of three areas was not read", 512, status(2+3*257, 3),
			status(2+3*257, 3), true},
		{"one too many", 11, status(12, 0), status(12, 0), true},
		{"an old area was read", 512, status(259, 1), status(259, 1), true},
		{"an overflowed one doesn't count", 512, status(2, 0),
			devmapper.SnapshotStatus{State: devmapper.Overflow}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := checkCount(tt.n, 8, tt.before, tt.after)
			if (err != nil) != tt.wrong || err != nil &&
				(!errors.Is(err, dump.ErrMiscount) || !errors.Is(err, dump.ErrIncomplete)) {
				t.Errorf("error %v", err)
			}
		})
	}
}
