package thin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
)

// A volume is a thin volume, and the device to read it from.
type volume struct {
	name       string           // as the user named it
	device     devmapper.Device // that its users write to
	target     devmapper.ThinTarget
	lv         *devmapper.LogicalVolume // nil if the volume isn't LVM's
	file       *blockdev.File
	beneath    beneath
	deactivate func() error // nil: it is nobody's business here
}

// openVolume opens the thin volume that a user names. One that is not active, as thin snapshots mostly are, is activated
// until close.
func openVolume(ctx context.Context, name string) (*volume, error) {
	v, err := tryVolume(ctx, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, devmapper.ErrNotDM) {
		v, err = tryVolume(ctx, name) // another run has just deactivated it
	}
	return v, err
}

func tryVolume(ctx context.Context, name string) (v *volume, err error) {
	v = &volume{name: name}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.close())
			v = nil
		}
	}()
	path, l, err := v.resolve(ctx)
	if l != nil {
		defer l.close() // before the other one, which takes it
	}
	if err != nil {
		return v, err
	}
	id, err := blockdev.Identify(path)
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
	if v.file, err = blockdev.Open(path); err != nil {
		return v, err
	}
	if v.beneath, err = openBeneath(v.target); err != nil {
		return v, fmt.Errorf("%s: %w", name, err)
	}
	if v.lv == nil {
		return v, nil
	}
	if l == nil {
		if l, err = lockVolume(ctx, v.lv); err != nil {
			return v, err
		}
		defer l.close()
	}
	return v, v.mind(ctx, l)
}

// resolve finds the volume's device, and activates the volume if that takes it. Then its lock is taken.
func (v *volume) resolve(ctx context.Context) (string, *lock, error) {
	path, err := devmapper.Resolve(ctx, v.name)
	var inactive *devmapper.InactiveError
	if !errors.As(err, &inactive) || inactive.LV.SegType != "thin" {
		return path, nil, err
	}
	return v.activate(ctx, &inactive.LV)
}

// Is tells whether a block device is a thin volume.
func Is(ctx context.Context, id blockdev.ID) bool {
	_, err := thinTable(ctx, id)
	return err == nil
}

// identify finds out which thin volume a device is.
func identify(ctx context.Context, id blockdev.ID) (devmapper.Device, devmapper.ThinTarget, error) {
	table, err := thinTable(ctx, id)
	if err != nil {
		return devmapper.Device{}, devmapper.ThinTarget{}, err
	}
	target, err := devmapper.ParseThinTarget(table)
	if errors.Is(err, devmapper.ErrPoolFailed) {
		err = fmt.Errorf("%w: it has failed", ErrPool)
	}
	if err != nil {
		return devmapper.Device{}, target, err
	}
	device, err := devmapper.Info(ctx, id.Major, id.Minor)
	return device, target, err
}

// thinTable is the line of a thin volume's table. What users of the volume write to may lie on it: while it is the origin of
// a thick snapshot, or an external origin, the thin device is below, and all reads and writes pass to that.
func thinTable(ctx context.Context, id blockdev.ID) (devmapper.Target, error) {
	if !id.Device {
		return devmapper.Target{}, fmt.Errorf("%w: it is a regular file", ErrNotThin)
	}
	top := devmapper.DevNum{Major: id.Major, Minor: id.Minor}
	line, err := soleTarget(ctx, top)
	if err != nil || line.Type == "thin" {
		return line, err
	}
	if line.Type == "snapshot-merge" {
		return line, ErrMerging
	}
	below, ok := line.PassesTo()
	if !ok || line.Type == "linear" && deviceUUID(below) != deviceUUID(top)+"-real" {
		return line, ErrNotThin
	}
	if line, err = soleTarget(ctx, below); err == nil && line.Type != "thin" {
		err = ErrNotThin
	}
	return line, err
}

// soleTarget is the only line of a device's table.
func soleTarget(ctx context.Context, num devmapper.DevNum) (devmapper.Target, error) {
	table, err := devmapper.TableOf(ctx, num.Major, num.Minor)
	if err == nil && len(table) != 1 {
		err = ErrNotThin
	}
	if err != nil {
		return devmapper.Target{}, err
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
