package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lvmsync/format/durable"
)

// ErrOnDestination means that a file which the run needs lies on the destination, so that to
// write there would destroy it. Nothing was written.
var ErrOnDestination = errors.New("it lies on the destination, and would be overwritten")

// checkPlaces makes sure that nothing that the run needs, and nothing that it leaves behind,
// lies where it is lost: on the destination, which --force lets be overwritten though it is
// mounted, or where no file can be kept.
func checkPlaces(patches []Patch, o Options) error {
	if err := checkUndoPlace(o.Undo); err != nil {
		return fmt.Errorf("create the undo patch: %w", err)
	}
	if st, err := os.Stat(o.Destination); err != nil ||
		st.Mode().Type() != 0 && st.Mode().Type() != fs.ModeDevice {
		return nil // it is created, or refused
	}
	var all []struct{ what, path string }
	add := func(what, path string) { all = append(all, struct{ what, path string }{what, path}) }
	for _, p := range patches {
		if f, ok := p.Reader.(interface{ Fd() uintptr }); ok {
			add("the patch "+p.Name, fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
		}
	}
	if o.Undo != "" {
		add("the undo patch "+o.Undo, filepath.Dir(o.Undo))
	}
	if o.SpoolDir != "" {
		add("the spool folder "+o.SpoolDir, o.SpoolDir)
	}
	for _, n := range all {
		var lies bool
		id, err := o.system.identify(o.Destination)
		if err == nil {
			lies, err = o.system.liesOn(n.path, id)
		}
		if err != nil {
			err = fmt.Errorf("find out whether %s lies on %s: %w", n.what, o.Destination, err)
			if !o.Force {
				return err
			}
			o.Warn("forced: can't " + err.Error())
		}
		if lies {
			return fmt.Errorf("%s: %w: %s", n.what, ErrOnDestination, o.Destination)
		}
	}
	return nil
}

// checkUndoPlace refuses a path for an undo patch where no file can be, or something else is.
func checkUndoPlace(path string) error {
	st, err := os.Stat(path)
	switch {
	case path == "":
		return nil
	case err == nil && st.IsDir():
		return fmt.Errorf("%s is a folder: name a new file", path)
	case err == nil && !st.Mode().IsRegular():
		return fmt.Errorf("%s is a device, pipe or socket: name a new file", path)
	}
	return durable.CheckPlace(path)
}

// warnMemory tells that an image file is kept in memory: that it is durable is not true then.
func (d *destination) warnMemory(o Options) {
	if d.isDevice {
		return
	}
	path := d.path
	if d.f == nil {
		path = filepath.Dir(path)
	}
	if memory := durable.Memory(path); memory != "" {
		o.Warn(fmt.Sprintf("%s is kept in %s: it is gone after a power cut or a restart", d.path,
			memory))
	}
}
