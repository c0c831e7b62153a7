package mount

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// What keeps a mount from being taken away.
var (
	ErrBusy     = errors.New("it is in use")
	ErrDetached = errors.New("it is detached already")
	ErrHidden   = errors.New("something else is mounted over it")
)

// Unmount takes the mount away, wherever it is now. It is still there after an error, unless that
// is ErrDetached: then Done only waits for who has files open.
func (m *Mount) Unmount() error { return m.unmount(0, "-u") }

// Detach takes the mount away for all who don't use it yet; one that is detached stays so. Those who
// have files open can go on, and Done waits for them. It is still there after an error.
func (m *Mount) Detach() error {
	err := m.unmount(unix.MNT_DETACH, "-uz")
	if errors.Is(err, ErrDetached) {
		return nil
	}
	return err
}

// unmount takes it away from all its places. Each is looked for anew: one may go with another one.
func (m *Mount) unmount(flags int, option string) error {
	for done := false; ; done = true {
		places, err := m.places()
		switch {
		case err != nil:
			return err
		case len(places) == 0 && done:
			return nil
		case len(places) == 0:
			return ErrDetached
		}
		last := places[len(places)-1]
		if last.hidden {
			return fmt.Errorf("%s: %w", last.path, ErrHidden)
		}
		if err := unmount(last.path, flags, option); err != nil {
			return err
		}
	}
}

// A place is one where the file system is mounted.
type place struct {
	path   string
	hidden bool // what the path leads to is something else
}

// places are where it is mounted now: folders on the way to it may have been renamed, somebody may
// have bound it to more places or detached it, and mounted something else where it was.
func (m *Mount) places() (places []place, err error) {
	all, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, err
	}
	over := make(map[string]bool)
	for _, at := range slices.Backward(all) { // the last that was mounted comes last
		if device(at) == m.device {
			places = append(places, place{at.Mountpoint, over[at.Mountpoint]})
		}
		over[at.Mountpoint] = true
	}
	slices.Reverse(places)
	return places, nil
}

// device is the number of that of the files.
func device(m *mountinfo.Info) uint64 { return unix.Mkdev(uint32(m.Major), uint32(m.Minor)) }

// unmount unmounts what is mounted on a path.
func unmount(path string, flags int, option string) error {
	if os.Geteuid() == 0 {
		err := unix.Unmount(path, flags|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			return ErrBusy
		}
		return err
	}
	program, err := helper()
	if err != nil {
		return err
	}
	err = runHelper(program, nil, option, "--", path)
	var said *HelperError
	if errors.As(err, &said) && strings.Contains(said.Says, "busy") {
		return ErrBusy
	}
	return err
}

// mountAt is what is mounted on a path, the last that was; nil: nothing.
func mountAt(path string) (*mountinfo.Info, error) {
	all, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.Mountpoint != path, false
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[len(all)-1], nil
}
