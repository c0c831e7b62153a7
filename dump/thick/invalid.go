package thick

import (
	"context"
	"fmt"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/thick/store"
	"lvmsync/format/storage/dmtable"
)

// CheckValid makes sure that a device, if it is a thick snapshot, has not become invalid. Whatever
// can't be asked is none.
func CheckValid(ctx context.Context, f *blockdev.File) error {
	if !f.IsDevice() {
		return nil
	}
	id := f.ID()
	status, err := devmapper.StatusOfSnapshot(ctx, id.DevNum)
	if err != nil || status.State != devmapper.Invalid {
		return nil
	}
	s := &snapshot{name: f.Name(), device: devmapper.Device{Num: id.DevNum}}
	if table, err := devmapper.TableOf(ctx, id.DevNum); err == nil && len(table) == 1 {
		// Without a store to look at it counts as failed.
		s.target, _ = dmtable.ParseSnapshot(table[0])
	}
	return s.invalid(ctx)
}

// invalid is the error for a snapshot that the kernel has given up. It doesn't tell why; the store
// does, mostly.
func (s *snapshot) invalid(ctx context.Context) error {
	f, err := blockdev.Open(s.target.COW.Path())
	if err != nil {
		return fmt.Errorf("%s: %w: %w", s.name, dump.ErrStoreFailed, err)
	}
	defer f.Close()
	return fmt.Errorf("%s: %w", s.name, why(ctx, f))
}

// pendingExceptions is how many exceptions the kernel may be making at a time (dm-snap.c:
// DEFAULT_COW_THRESHOLD). Those have taken their room, and are not in the list of a store that
// overflows.
const pendingExceptions = 2048

// why tells an overflow from a failed store by what the store holds.
func why(ctx context.Context, f *blockdev.File) error {
	use, err := store.Examine(ctx, f, f.Size())
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", dump.ErrStoreFailed, err)
	case use.Valid: // though the kernel says otherwise: it could not write that down
		return fmt.Errorf("%w: the kernel could not write to it", dump.ErrStoreFailed)
	case use.FreeChunks > pendingExceptions:
		return fmt.Errorf("%w: it was not full", dump.ErrStoreFailed)
	}
	return dump.ErrOverflow
}
