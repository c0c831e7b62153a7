package thin

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/format/storage"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// A volume is a thin volume, and the device to read it from.
type volume struct {
	name       string           // as the user named it
	device     devmapper.Device // that its users write to
	target     dmtable.Thin
	lv         *devmapper.LogicalVolume // nil if the volume isn't LVM's
	file       *blockdev.File
	beneath    beneath
	deactivate func() error // nil: it is nobody's business here
	use        *use         // of what one of our runs activated
}

// openVolume opens the thin volume that a user names. One that is not active, as thin snapshots
// mostly are, is activated until close.
func openVolume(ctx context.Context, name string) (*volume, error) {
	v, err := tryVolume(ctx, name, nil)
	if err == nil || !devmapper.Vanished(err) {
		return v, err
	}
	// Another run may have just deactivated it. While we have its lock none does.
	lv, err2 := devmapper.LVNamed(ctx, name)
	if err2 != nil {
		return nil, err
	}
	l, err := lockVolume(ctx, &lv)
	if err != nil {
		return nil, err
	}
	return tryVolume(ctx, name, l)
}

// tryVolume tries that. The volume's lock is taken when it is known which one that is, unless the
// caller has it, and given up.
func tryVolume(ctx context.Context, name string, l *lock) (v *volume, err error) {
	v = &volume{name: name}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.close())
			v = nil
		}
	}()
	defer func() {
		if l != nil {
			l.close() // before the other one, which takes it
		}
	}()
	var path string
	if path, l, err = v.resolve(ctx, l); err != nil {
		return v, err
	}
	id, err := storage.Identify(path)
	if err != nil {
		return v, err
	}
	if v.device, v.target, err = identify(ctx, id); err != nil {
		return v, fmt.Errorf("%s: %w", name, err)
	}
	if v.device.VG != "" && v.lv == nil {
		lv, err := devmapper.LV(ctx, v.device.VG, v.device.LV)
		if err != nil {
			return v, err
		}
		v.lv = &lv
	}
	if v.lv != nil && l == nil {
		// Before it is opened, so that none of us sees a stranger in the other.
		if l, err = lockVolume(ctx, v.lv); err != nil {
			return v, err
		}
	}
	if err := v.open(ctx, path); err != nil {
		return v, err
	}
	if v.beneath, err = openBeneath(v.target); err != nil {
		return v, fmt.Errorf("%s: %w", name, err)
	}
	if v.lv == nil {
		return v, nil
	}
	return v, v.mind(ctx, l)
}

// open opens the device, which must be the one that was identified: it may have been another one of
// that number, in a pool of another number, before the lock was taken.
func (v *volume) open(ctx context.Context, path string) (err error) {
	if v.file, err = blockdev.Open(path); err != nil {
		return err
	}
	gone := fmt.Errorf("%s: %w any more", v.name, kernel.ErrNotDM)
	if id := v.file.ID(); id.DevNum != v.device.Num {
		return gone
	}
	device, target, err := identify(ctx, v.file.ID())
	if err == nil && (device != v.device || target != v.target) {
		err = gone
	}
	return err
}

// resolve finds the volume's device, and activates the volume if that takes it. Then its lock is
// taken.
func (v *volume) resolve(ctx context.Context, l *lock) (string, *lock, error) {
	path, err := devmapper.Resolve(ctx, v.name)
	var inactive *devmapper.InactiveError
	if !errors.As(err, &inactive) || inactive.LV.SegType != "thin" {
		return path, l, err
	}
	return v.activate(ctx, &inactive.LV, l)
}

// Named tells whether a user has named a thin volume, active or not. What is wrong with a name is
// found when it's opened.
func Named(ctx context.Context, name string) bool {
	path, err := devmapper.Resolve(ctx, name)
	var inactive *devmapper.InactiveError
	if errors.As(err, &inactive) {
		return inactive.LV.SegType == "thin"
	}
	var id storage.ID
	if err == nil {
		id, err = storage.Identify(path)
	}
	if err == nil {
		_, err = thinTable(ctx, id)
	}
	if err == nil || !devmapper.Vanished(err) {
		return err == nil
	}
	lv, err := devmapper.LVNamed(ctx, name) // another run may have just deactivated it
	return err == nil && lv.SegType == "thin"
}

// identify finds out which thin volume a device is.
func identify(ctx context.Context, id storage.ID) (devmapper.Device, dmtable.Thin, error) {
	table, err := thinTable(ctx, id)
	if err != nil {
		return devmapper.Device{}, dmtable.Thin{}, err
	}
	target, err := dmtable.ParseThin(table)
	if errors.Is(err, dmtable.ErrPoolFailed) {
		err = fmt.Errorf("%w: it has failed", ErrPool)
	}
	if err != nil {
		return devmapper.Device{}, target, err
	}
	device, err := devmapper.Info(ctx, id.DevNum)
	return device, target, err
}

// thinTable is the line of a thin volume's table. What users of the volume write to may lie on it:
// while it is the origin of a thick snapshot, or an external origin, the thin device is below, and
// all reads and writes pass to that.
func thinTable(ctx context.Context, id storage.ID) (dmtable.Target, error) {
	if !id.Device {
		return dmtable.Target{}, fmt.Errorf("%w: it is a regular file", ErrNotThin)
	}
	top := id.DevNum
	line, err := soleTarget(ctx, top)
	if err != nil || line.Type == "thin" {
		return line, err
	}
	if line.Type == "snapshot-merge" {
		return line, ErrMerging
	}
	below, ok := line.PassesTo()
	if !ok || line.Type == "linear" && below.UUID() != top.UUID()+"-real" {
		return line, ErrNotThin
	}
	if line, err = soleTarget(ctx, below); err == nil && line.Type != "thin" {
		err = ErrNotThin
	}
	return line, err
}

// soleTarget is the only line of a device's table.
func soleTarget(ctx context.Context, num kernel.DevNum) (dmtable.Target, error) {
	table, err := devmapper.TableOf(ctx, num)
	if err == nil && len(table) != 1 {
		err = ErrNotThin
	}
	if err != nil {
		return dmtable.Target{}, err
	}
	return table[0], nil
}

// check makes sure that the volume is still there.
func (v *volume) check() error {
	if !v.device.Exists() {
		return fmt.Errorf("%s: the volume is no longer there", v.name)
	}
	return nil
}

// close closes the device and deactivates the volume if it was activated.
func (v *volume) close() error {
	var err error
	if v.file != nil {
		err = v.file.Close()
	}
	err = errors.Join(err, v.beneath.close())
	if v.deactivate != nil {
		err = errors.Join(err, v.deactivate())
	}
	return err
}
