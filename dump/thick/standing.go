package thick

import (
	"context"
	"fmt"
	"slices"

	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
	"lvmsync/format/storage"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// checkStanding refuses a store that was named directly if the kernel has a snapshot on it whose
// list isn't complete: after its device has failed the store itself may not say so. Those that were
// there before must be there still.
func (l *lone) checkStanding(ctx context.Context) error {
	for _, snap := range l.standing {
		if err := snap.check(ctx); err != nil {
			return l.standingError(err)
		}
	}
	var err error
	if l.standing, err = findStanding(ctx, l.file.ID()); err != nil {
		return l.standingError(err)
	}
	for _, snap := range l.standing {
		if err := snap.checkAll(ctx); err != nil {
			return l.standingError(err)
		}
	}
	return nil
}

func (l *lone) standingError(err error) error {
	return fmt.Errorf("a snapshot stands on the COW store %s: %w", l.file.Name(), err)
}

// checkAll makes sure that the snapshot has a complete list, as if it had been named. LVM may be
// out of order where a store is read directly: without its answer the kernel's is enough.
func (s *snapshot) checkAll(ctx context.Context) error {
	if err := s.readTable(ctx); err != nil {
		return err
	}
	if err := s.readLVM(ctx); err != nil && s.lv != nil {
		return err
	}
	return s.check(ctx)
}

// findStanding finds the snapshots whose COW store lies where the given store does, by whatever
// name, above it or beneath.
func findStanding(ctx context.Context, store storage.ID) ([]*snapshot, error) {
	devices := kernel.Mapped()
	if len(devices) == 0 {
		return nil, nil
	}
	if !store.Device { // without a loop device no snapshot can stand on it
		if has, err := storage.HasLoop(store); !has || err != nil {
			return nil, err
		}
	}
	own, err := storage.Of(store)
	if err != nil {
		return nil, err
	}
	tables, err := devmapper.Tables(ctx)
	if err != nil {
		if other, ok := related(store, devices); ok {
			return nil, fmt.Errorf("%s has to do with it, and can't be asked whether it is one: %w",
				other, err)
		}
		return nil, nil
	}
	var found []*snapshot
	for _, d := range tables {
		if len(d.Table) != 1 {
			continue
		}
		target, err := dmtable.ParseSnapshot(d.Table[0])
		if err != nil {
			continue // it's none
		}
		snap := &snapshot{name: d.Path(), device: d.Device, target: target}
		stands, err := snap.standsOn(store, own)
		if err != nil && d.Exists() {
			return nil, err
		}
		if stands {
			found = append(found, snap)
		}
	}
	return found, nil
}

// standsOn tells whether the snapshot's COW store lies where the given one does, and notes whether
// it is that itself.
func (s *snapshot) standsOn(store storage.ID, own storage.Storage) (bool, error) {
	cow := storage.DeviceID(s.target.COW)
	its, err := storage.Of(cow)
	if err != nil || !own.Overlaps(its) {
		return false, err
	}
	s.itself, err = storage.SameStart(store, cow, format.SectorSize) // where the header is
	return true, err
}

// openKernels takes the store by the kernel's own device of it, where it has one: what the kernel
// writes to that may be hidden by the page cache of a device above, such as a loop device.
func (l *lone) openKernels() error {
	i := slices.IndexFunc(l.standing, func(s *snapshot) bool { return s.itself })
	if i < 0 {
		return nil
	}
	named := l.file
	kernels, err := blockdev.Open(l.standing[i].target.COW.Path())
	if err != nil {
		return fmt.Errorf("open the COW store %s by its own device: %w", named.Name(), err)
	}
	l.file = kernels
	return named.Close()
}

// related finds a device of device-mapper that may share storage with the store, as far as that can
// be told without tables.
func related(store storage.ID, devices []kernel.DevNum) (string, bool) {
	for _, num := range devices {
		id := storage.DeviceID(num)
		if id == store {
			continue
		}
		if may, err := storage.MayShare(store, id); may || err != nil && id.Exists() {
			return id.String(), true
		}
	}
	return "", false
}
