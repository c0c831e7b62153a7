package thick

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
	"lvmsync/format/storage"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// checkStanding refuses a store that was named directly if the kernel has a snapshot on it whose list isn't complete: after its device has
// failed the store itself may not say so. Those that were there before must be there still.
func (s *Source) checkStanding(ctx context.Context) error {
	for _, snap := range s.standing {
		if err := snap.check(ctx); err != nil {
			return s.standingError(err)
		}
	}
	var err error
	if s.standing, err = findStanding(ctx, s.cow.ID()); err != nil {
		return s.standingError(err)
	}
	for _, snap := range s.standing {
		if err := snap.checkAll(ctx); err != nil {
			return s.standingError(err)
		}
	}
	return nil
}

func (s *Source) standingError(err error) error {
	return fmt.Errorf("a snapshot stands on the COW store %s: %w", s.cow.Name(), err)
}

// checkAll makes sure that the snapshot has a complete list, as if it had been named. LVM may be out of order where a store is
// read directly: without its answer the kernel's is enough.
func (s *snapshot) checkAll(ctx context.Context) error {
	if err := s.readTable(ctx); err != nil {
		return err
	}
	if lv, err := devmapper.LV(ctx, s.device.VG, s.device.LV); s.device.VG != "" && err == nil {
		s.lv = &lv
		if err := s.checkLVM(ctx); err != nil {
			return err
		}
	}
	return s.check(ctx)
}

// findStanding finds the snapshots whose COW store lies where the given store does, by whatever name, above it or beneath.
func findStanding(ctx context.Context, store storage.ID) ([]*snapshot, error) {
	devices := kernel.Mapped()
	if len(devices) == 0 || !store.Device && !hasLoop(store) {
		return nil, nil // whatever reads and writes it, it's not device-mapper
	}
	tables, err := devmapper.Tables(ctx)
	if err != nil {
		if other, ok := related(store, devices); ok {
			return nil, fmt.Errorf("%s has to do with it, and can't be asked whether it is one: %w", other, err)
		}
		return nil, nil
	}
	stack := survey{tables: make(map[storage.ID]dmtable.Table)}
	for _, d := range tables {
		stack.tables[storage.DeviceID(d.Num)] = d.Table
	}
	here := stack.places(wholly(store))
	var found []*snapshot
	for _, d := range tables {
		if len(d.Table) != 1 {
			continue
		}
		target, err := dmtable.ParseSnapshot(d.Table[0])
		if err != nil {
			continue // it's none
		}
		cow := storage.DeviceID(target.COW)
		if meet(here, stack.places(wholly(cow)), false) {
			found = append(found, &snapshot{name: d.Path(), device: d.Device, target: target,
				itself: meet(surely(stack.places(headerOf(store))), surely(stack.places(headerOf(cow))), false)})
		}
	}
	return found, nil
}

// headerOf is where the header of a store is.
func headerOf(store storage.ID) place { return place{id: store, end: format.SectorSize} }

// surely leaves out what is known vaguely.
func surely(places []place) []place {
	return slices.DeleteFunc(places, func(p place) bool { return p.vague })
}

// openKernels takes the store by the kernel's own device of it, where it has one: what the kernel writes to that may be hidden by
// the page cache of a device above, such as a loop device.
func (s *Source) openKernels() error {
	for _, snap := range s.standing {
		if !snap.itself {
			continue
		}
		store, err := blockdev.Open(snap.target.COW.Path())
		if err != nil {
			return fmt.Errorf("open the COW store %s by its own device: %w", s.cow.Name(), err)
		}
		err = s.cow.Close()
		s.cow = store
		return err
	}
	return nil
}

// meet tells whether two devices or files share storage. Where of both no more is known than somewhere in a device, they
// do only if that's enough.
func meet(a, b []place, vague bool) bool {
	for _, p := range a {
		for _, q := range b {
			if p.id == q.id && p.off < q.end && q.off < p.end && (vague || !p.vague || !q.vague) {
				return true
			}
		}
	}
	return false
}

// related finds a device of device-mapper that may share storage with the store, as far as that can be told without tables.
func related(store storage.ID, devices []kernel.DevNum) (string, bool) {
	var stack survey
	here := stack.places(wholly(store))
	for _, num := range devices {
		if id := storage.DeviceID(num); id != store && meet(here, stack.places(wholly(id)), true) {
			return id.String(), true
		}
	}
	return "", false
}

// hasLoop tells whether a loop device shows a part of the file.
func hasLoop(file storage.ID) bool {
	dirs, _ := filepath.Glob(filepath.Join(kernel.Sys, "block", "loop*"))
	for _, dir := range dirs {
		if l, ok := loopOn(dir); ok && l.backing == file {
			return true
		}
	}
	return false
}
