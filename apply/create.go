package apply

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/durable"
)

// createDestination makes a sparse image file of the size that the volume has in the end.
func createDestination(patches []format.Header, o Options) (*destination, error) {
	d := &destination{path: o.Destination, size: sizeBehind(patches), created: true}
	if err := mayCreate(d.path, patches[0], o); err != nil {
		return nil, err
	}
	if o.DryRun {
		if err := mayCreateBeside(d.path); err != nil {
			return nil, fmt.Errorf("create %s: write to its folder: %w", d.path, err)
		}
		return d, nil
	}
	f, err := o.files.Create(d.path)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", d.path, err)
	}
	d.file, d.f = f, f.File()
	o.Force = false // who was quicker to lock the new file shall have it
	if err := d.lock(o); err != nil {
		d.file.Close()
		return nil, err
	}
	if err := d.f.Truncate(d.size); err != nil {
		d.close(o)
		return nil, fmt.Errorf("create %s with %d bytes: %w", d.path, d.size, durable.Cause(err))
	}
	if d.in, err = openDirect(d); err != nil {
		d.close(o)
		return nil, err
	}
	return d, nil
}

// mayCreateBeside tells whether a file can be created in the folder of path.
func mayCreateBeside(path string) error {
	return unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK)
}

// mayCreate tells whether a destination that is missing may be created.
func mayCreate(path string, h format.Header, o Options) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%w: %s is a symbolic link that leads nowhere", ErrMissing, path)
	}
	placeErr := durable.CheckPlace(path)
	switch {
	case !o.Create && placeErr != nil:
		return fmt.Errorf("%w: %s", ErrMissing, path)
	case !o.Create:
		return fmt.Errorf("%w: %s", ErrNotCreated, path)
	case h.Kind != format.Full:
		return fmt.Errorf("%w: %s does not exist, and only a full patch can create it",
			ErrNeedsFull, path)
	}
	if placeErr != nil {
		return fmt.Errorf("%w: %w", ErrMissing, placeErr)
	}
	return nil
}
