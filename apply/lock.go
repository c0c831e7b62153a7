package apply

import (
	"errors"
	"fmt"

	"lvmsync/format/durable"
)

// lock locks the destination against others who take it for a file: it, if it is
// one, and the files that it stands on. A file of which it is only a part is locked
// so that others who want all of it notice, but not who wants another part.
func (d *destination) lock(o Options) (err error) {
	if !d.isDevice {
		if err := lockFile(BackingFile{d.f, d.path, true}, d.path, o); err != nil {
			return err
		}
	}
	if d.backing, err = o.System.Backing(d.path, o.Warn); err != nil {
		if err = fmt.Errorf("find the files behind %s: %w", d.path, err); !o.Force {
			return err
		}
		o.Warn("forced: " + err.Error())
	}
	for _, b := range d.backing {
		if err := lockFile(b, fmt.Sprintf("%s, on which %s lies,", b.Path, d.path), o); err != nil {
			return err
		}
	}
	return nil
}

// lockFile locks a file. what is the file in messages.
func lockFile(f BackingFile, what string, o Options) error {
	err := durable.Lock(f.File, f.Whole)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, durable.ErrLocked):
		o.Warn(fmt.Sprintf("%s can't be locked here (%v): make sure that nobody else uses it", what, err))
		return nil
	case o.Force:
		o.Warn(fmt.Sprintf("forced: %s is locked by another program", what))
		return nil
	}
	return fmt.Errorf("%w: %s is locked by another program", ErrInUse, what)
}
