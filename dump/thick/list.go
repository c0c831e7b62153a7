package thick

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/dump"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
)

// listLive flushes what is above the snapshots and their origin, then lists their exceptions: a buffered write to the
// origin makes one in each of its snapshots, one to a snapshot makes one in that.
func (s *Source) listLive(ctx context.Context) error {
	if err := s.flush(); err != nil {
		if why := s.snapshot.check(ctx); errors.Is(why, dump.ErrIncomplete) {
			return why // an invalid snapshot takes no writes
		}
		return err
	}
	if err := s.listOne(ctx); err != nil {
		return err
	}
	if s.to != nil {
		return s.to.listOne(ctx)
	}
	return nil
}

// flush begins with the origin, also where nothing is read from that.
func (s *Source) flush() error {
	if err := s.origin.Flush(); err != nil {
		return err
	}
	return s.Inputs().Flush()
}

// listOne reads the list of one snapshot. It needs no look at what is being written: an exception is on the device
// before the kernel lets the write that it is for reach the origin, or says that a write to the snapshot is done. So
// whatever was done before the list is read is in it.
func (s *Source) listOne(ctx context.Context) error {
	snap := s.snapshot
	before, err := snap.status(ctx)
	if err != nil {
		return err
	}
	if err := s.openStore(ctx); err != nil {
		return err
	}
	chunkSectors := uint64(s.chunkBytes / format.SectorSize)
	if err := s.list(ctx, snap.size, initialised(before, chunkSectors)); err != nil {
		return err
	}
	after, err := snap.status(ctx)
	if err != nil {
		return err
	}
	if err := checkCount(s.chunks.GetCardinality(), chunkSectors, before, after); err != nil {
		return fmt.Errorf("%s: %w", snap.name, err)
	}
	return nil
}

// initialised is the number of areas that the kernel has zeroed for use: all up to the one that it fills.
func initialised(s devmapper.SnapshotStatus, chunkSectors uint64) int64 {
	return max(int64(s.MetadataSectors/chunkSectors)-1, 0)
}

// checkCount compares the number of exceptions in a list with what the kernel said before the list was read and after.
// The kernel's number of exceptions has those, too, that are being made, which may not be on the device for as long as it likes,
// and is one too high while the last one of an area is: so it is no measure of what the list must have. But the areas
// before the one that was being filled were on the device, whole.
func checkCount(n, chunkSectors uint64, before, after devmapper.SnapshotStatus) error {
	if before.State != devmapper.Active || after.State != devmapper.Active {
		return nil // an overflowed snapshot doesn't count
	}
	perArea := chunkSectors * format.SectorSize / exceptionBytes
	least := uint64(max(initialised(before, chunkSectors)-1, 0)) * perArea
	most := after.Exceptions(chunkSectors)
	if n < least || n > most {
		return fmt.Errorf("%w: %d exceptions were read, the kernel has at least %d and at most %d", dump.ErrMiscount, n, least, most)
	}
	return nil
}

// exceptionBytes is the size of an exception in the list.
const exceptionBytes = 16
