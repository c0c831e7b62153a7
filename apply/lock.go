package apply

import (
	"errors"
	"fmt"
	"os"

	"lvmsync/format/filelock"
)

// lock locks the destination against others who take it for a file: it, if it is
// one, and the files that it stands on. A file of which it is only a part is locked
// so that others who want all of it notice, but not who wants another part.
func (d *destination) lock(o Options) (err error) {
	if !d.isDevice {
		if err := lockFile(d.f, true, d.path, o); err != nil {
			return err
		}
	}
	var missing []string
	d.backing, missing, err = o.system.backing(d.path)
	for _, file := range missing {
		o.Warn(fmt.Sprintf("the file behind %s can't be locked: %s", d.path, file))
	}
	if err != nil {
		if err = fmt.Errorf("find the files behind %s: %w", d.path, err); !o.Force {
			return err
		}
		o.Warn("forced: " + err.Error())
	}
	for _, b := range d.backing {
		if err := lockFile(b.File, b.Whole, fmt.Sprintf("%s, on which %s lies,", b.Path, d.path),
			o); err != nil {
			return err
		}
	}
	return nil
}

// lockFile locks a file, against all others if whole. what is the file in messages.
func lockFile(f *os.File, whole bool, what string, o Options) error {
	err := filelock.Take(f, whole)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, filelock.ErrLocked):
		o.Warn(fmt.Sprintf("%s can't be locked here (%v): make sure that nobody else uses it", what,
			err))
		return nil
	case o.Force:
		o.Warn(fmt.Sprintf("forced: %s is locked by another program", what))
		return nil
	}
	return fmt.Errorf("%w: %s is locked by another program", ErrInUse, what)
}
