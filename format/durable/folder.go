package durable

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrMoved means that a folder was renamed or removed while a file was written in it: its
// name leads elsewhere.
var ErrMoved = errors.New("its folder was renamed or removed meanwhile")

// ErrMountPoint means that something is mounted on a file, as on those that a container is given:
// nothing can take its place.
var ErrMountPoint = errors.New("it is a mount point, and can't be replaced")

// A folder is held open, so that what was begun in it can be ended there, or taken away,
// though its name leads elsewhere by now.
type folder struct {
	*os.Root
	path string // as given
}

// openFolder opens the folder of path, and gives the name of the file in it.
func openFolder(path string) (dir *folder, name string, err error) {
	parent, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return nil, "", unix.EISDIR
	}
	if parent == "" {
		parent = "."
	}
	root, err := os.OpenRoot(parent)
	if err != nil {
		return nil, "", Cause(err)
	}
	return &folder{root, parent}, name, nil
}

// create makes a new file, for its owner only.
func (d *folder) create(name string) (*os.File, error) {
	return d.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// createBeside makes a new file with a hidden name that begins like name.
func (d *folder) createBeside(name string) (f *os.File, hidden string, err error) {
	for range 1000 {
		hidden = "." + name + strconv.FormatUint(uint64(rand.Uint32()), 10)
		if f, err = d.create(hidden); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return f, hidden, err
}

// mayReplace tells why what has that name can't be replaced, as far as that is known before it is
// tried: which is when all has been written.
func (d *folder) mayReplace(name string) error {
	attributes := func(path string) uint64 {
		var st unix.Statx_t
		_ = unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &st)
		return st.Attributes // none of what is not there, or where the kernel or the disk has none
	}
	file := attributes(filepath.Join(d.path, name))
	switch {
	case file&unix.STATX_ATTR_MOUNT_ROOT != 0:
		return ErrMountPoint
	case file&(unix.STATX_ATTR_IMMUTABLE|unix.STATX_ATTR_APPEND) != 0:
		return errors.New("it must not be changed, or only be added to (chattr)")
	case attributes(d.path)&unix.STATX_ATTR_APPEND != 0:
		return errors.New("its folder may only be added to (chattr)")
	}
	return nil
}

// remove takes a file away, unless its name is another one's by now.
func (d *folder) remove(name string, f *os.File) error {
	now, err := d.Lstat(name)
	if err != nil {
		return err
	}
	if own, err := f.Stat(); err != nil || !os.SameFile(own, now) {
		return errors.New("another file has its name")
	}
	return d.Remove(name)
}

// check makes sure that the folder's path still leads to it.
func (d *folder) check() error {
	here, err := d.Stat(".")
	if err != nil {
		return err
	}
	if there, err := os.Stat(d.path); err != nil || !os.SameFile(here, there) {
		return ErrMoved
	}
	return nil
}

// SyncFolder makes durable which names there are in the folder at path, where its file system can.
func (fs FS) SyncFolder(path string) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return Cause(err)
	}
	defer root.Close()
	return Cause((&folder{root, path}).syncWith(fs.sync))
}

// SyncFile makes durable what the file at path has, whoever wrote it, where its file system can.
func (fs FS) SyncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return Cause(err)
	}
	defer f.Close()
	return Cause(whereItCan(fs.sync(f)))
}

// whereItCan is an error of fsync, but for one of a file system that has none for such a file.
func whereItCan(err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// syncWith makes names in the folder durable, where its file system can.
func (d *folder) syncWith(sync func(*os.File) error) error {
	f, err := d.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return whereItCan(sync(f))
}
