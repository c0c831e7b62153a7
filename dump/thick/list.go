package thick

import (
	"context"
	"fmt"

	"lvmsync/dump"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
)

// list reads the list of one snapshot. It needs no look at what is being written: an exception is
// on the device before the kernel lets the write that it is for reach the origin, or says that a
// write to the snapshot is done. So whatever was done before the list is read is in it.
func (l *live) list(ctx context.Context) (changed chunks, err error) {
	before, err := l.status(ctx)
	if err != nil {
		return changed, err
	}
	if err := l.readHeader(ctx); err != nil {
		return changed, err
	}
	chunkSectors := uint64(l.store.ChunkSize() / format.SectorSize)
	if changed, err = l.listed(ctx, l.size, initialised(before, chunkSectors)); err != nil {
		return changed, err
	}
	after, err := l.status(ctx)
	if err != nil {
		return changed, err
	}
	if err := checkCount(changed.set.GetCardinality(), chunkSectors, before, after); err != nil {
		return changed, fmt.Errorf("%s: %w", l.name, err)
	}
	return changed, nil
}

// initialised is the number of areas that the kernel has zeroed for use: all up to the one that it
// fills.
func initialised(s devmapper.SnapshotStatus, chunkSectors uint64) int64 {
	return max(int64(s.MetadataSectors/chunkSectors)-1, 0)
}

// checkCount compares the number of exceptions in a list with what the kernel said before the list
// was read and after. The kernel's number of exceptions has those, too, that are being made, which
// may not be on the device for as long as it likes, and is one too high while the last one of an
// area is: so it is no measure of what the list must have. But the areas before the one that was
// being filled were on the device, whole.
func checkCount(n, chunkSectors uint64, before, after devmapper.SnapshotStatus) error {
	if before.State != devmapper.Active || after.State != devmapper.Active {
		return nil // an overflowed snapshot doesn't count
	}
	perArea := chunkSectors * format.SectorSize / exceptionBytes
	least := uint64(max(initialised(before, chunkSectors)-1, 0)) * perArea
	most := after.Exceptions(chunkSectors)
	if n < least || n > most {
		return fmt.Errorf("%w: %d exceptions were read, the kernel has at least %d and at most %d",
			dump.ErrMiscount, n, least, most)
	}
	return nil
}

// exceptionBytes is the size of an exception in the list.
const exceptionBytes = 16
