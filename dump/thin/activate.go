package thin

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/dump/devmapper"
	"lvmsync/format/storage/kernel"
)

// An activation is the note of a run that gives an inactive volume its device, and takes that away
// at its end. If it is killed, the next run that reads the volume does that.
type activation struct {
	Begun    bool   `json:",omitempty"` // it was inactive; nobody could note what became of it
	Instance uint64 `json:",omitempty"` // of the device that it got, see kernel.DevNum.Instance
}

// made tells whether the note is about this device.
func (a activation) made(num kernel.DevNum) bool {
	instance, err := num.Instance()
	return err == nil && (a.Begun || a.Instance == instance)
}

func volumeLock(lv *devmapper.LogicalVolume) string { return "volume-" + lv.UUID }

func lockVolume(ctx context.Context, lv *devmapper.LogicalVolume) (*lock, error) {
	return takeLock(ctx, volumeLock(lv),
		fmt.Sprintf("activate or deactivate %s/%s", lv.VG, lv.Name))
}

// activate gives the volume its device, and finds that. The caller opens it, has mind note it, and
// only then closes the lock, so that no other run takes the device away in between. The lock may be
// the caller's already.
func (v *volume) activate(ctx context.Context, lv *devmapper.LogicalVolume,
	l *lock) (path string, _ *lock, err error) {
	if l == nil {
		if l, err = lockVolume(ctx, lv); err != nil {
			return "", nil, err
		}
	}
	path, err = devmapper.Resolve(ctx, v.name)
	if !errors.Is(err, devmapper.ErrInactive) {
		return path, l, err // another run was quicker
	}
	err = activateNoted(ctx, lv, l)
	if err != nil && !errors.Is(err, devmapper.ErrCutShort) {
		return "", l, errors.Join(err, l.remove())
	}
	v.lv = lv
	v.giveBackLater(ctx)
	if err != nil {
		return "", l, err
	}
	path, err = devmapper.Resolve(ctx, v.name)
	return path, l, err
}

// activateNoted activates the volume and notes that before. If this run is killed meanwhile, its
// witness notes what it has come to.
func activateNoted(ctx context.Context, lv *devmapper.LogicalVolume, l *lock) error {
	w, err := callWitness(l, witnessVolume, lv.DeviceUUID())
	if err != nil {
		return fmt.Errorf("activate %s/%s: start its witness: %w", lv.VG, lv.Name, err)
	}
	defer w.dismiss()
	if err := l.note(activation{Begun: true}); err != nil {
		return err
	}
	return lv.Activate(ctx, devmapper.Trace{Open: w.alive})
}

// concludeActivation notes what an activation has come to that has ended just now, or never begun:
// a device with that UUID, or none.
func concludeActivation(l *lock, uuid string) error {
	num, err := kernel.ByUUID(uuid)
	if errors.Is(err, kernel.ErrNotDM) {
		return l.note(activation{})
	}
	if err != nil {
		return err
	}
	instance, err := num.Instance()
	if err != nil {
		return err
	}
	return l.note(activation{Instance: instance})
}

// mind notes which device the volume got if it was activated; what another run activated, which was
// killed or still reads it, is deactivated by whoever closes it last.
func (v *volume) mind(ctx context.Context, l *lock) error {
	if v.deactivate == nil {
		var a activation
		l.read(&a)
		if !a.made(v.device.Num) {
			return l.remove()
		}
		v.giveBackLater(ctx)
	} else {
		instance, err := v.device.Num.Instance()
		if err == nil {
			err = l.note(activation{Instance: instance})
		}
		if err != nil {
			return err
		}
	}
	var err error
	v.use, err = beginUse(v.lv)
	return err
}

// giveBackLater has close deactivate the volume, whatever becomes of ctx.
func (v *volume) giveBackLater(ctx context.Context) {
	v.deactivate = func() error { return v.giveBack(devmapper.Regardless(ctx)) }
}

// giveBack takes the volume's device away, unless another run still reads it, which then does that.
// Somebody else who has it open keeps it.
func (v *volume) giveBack(ctx context.Context) error {
	l, err := lockVolume(ctx, v.lv)
	if err != nil {
		return err
	}
	defer l.close()
	if v.use == nil {
		if v.use, err = beginUse(v.lv); err != nil {
			return err
		}
	}
	if last, err := v.use.end(); err != nil || !last {
		return err
	}
	var a activation
	l.read(&a)
	if !a.Begun && !a.made(v.device.Num) {
		return l.remove() // another run has done it
	}
	err = v.lv.Deactivate(ctx, devmapper.Trace{Open: l.f}) // which keeps the lock
	if err == nil {
		return l.remove()
	}
	if n, err2 := devmapper.OpenCount(ctx, v.device.Num); err2 == nil && n > 0 {
		return fmt.Errorf("%s stays active: somebody else has it open", v.name)
	}
	return err
}
