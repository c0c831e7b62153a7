package thin

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/dump/devmapper"
)

// An activation is the note of a run that gives an inactive volume its device, and takes that away at its end. If it is killed,
// the next run that reads the volume does that.
type activation struct {
	Begun    bool   `json:",omitempty"` // it was inactive, and is about to be activated
	Instance uint64 `json:",omitempty"` // of the device that it got, see devmapper.DevNum.Instance
}

// made tells whether the note is about this device.
func (a activation) made(num devmapper.DevNum) bool {
	instance, err := num.Instance()
	return err == nil && (a.Begun || a.Instance == instance)
}

func lockVolume(ctx context.Context, lv *devmapper.LogicalVolume) (*lock, error) {
	return takeLock(ctx, "volume-"+lv.UUID)
}

// activate gives the volume its device, and finds that. The caller opens it, has mind note it, and only then closes the lock, so
// that no other run takes the device away in between.
func (v *volume) activate(ctx context.Context, lv *devmapper.LogicalVolume) (path string, l *lock, err error) {
	if l, err = lockVolume(ctx, lv); err != nil {
		return "", nil, err
	}
	path, err = devmapper.Resolve(ctx, v.name)
	if !errors.Is(err, devmapper.ErrInactive) {
		return path, l, err // another run was quicker
	}
	if err := l.note(activation{Begun: true}); err != nil {
		return "", l, err
	}
	err = lv.Activate(ctx)
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

// mind notes which device the volume got if it was activated; what another run activated, which was killed or still reads it,
// is deactivated by whoever closes it last.
func (v *volume) mind(ctx context.Context, l *lock) error {
	if v.deactivate != nil {
		instance, err := v.device.Num().Instance()
		if err != nil {
			return err
		}
		return l.note(activation{Instance: instance})
	}
	var a activation
	l.read(&a)
	if a.made(v.device.Num()) {
		v.giveBackLater(ctx)
		return nil
	}
	return l.remove()
}

// giveBackLater has close deactivate the volume, whatever becomes of ctx.
func (v *volume) giveBackLater(ctx context.Context) {
	v.deactivate = func() error { return v.giveBack(devmapper.Regardless(ctx)) }
}

// giveBack takes the volume's device away. Somebody else who has it open keeps it.
func (v *volume) giveBack(ctx context.Context) error {
	l, err := lockVolume(ctx, v.lv)
	if err != nil {
		return err
	}
	defer l.close()
	var a activation
	l.read(&a)
	if !a.Begun && !a.made(v.device.Num()) {
		return l.remove() // another run has done it
	}
	err = v.lv.Deactivate(ctx)
	if err == nil {
		return l.remove()
	}
	if n, err2 := devmapper.OpenCount(ctx, v.device.Num()); err2 == nil && n > 0 {
		return fmt.Errorf("%s stays active: somebody else has it open", v.name)
	}
	return err
}
