package mount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// ErrBusy means that somebody uses the mount.
var ErrBusy = errors.New("it is in use")

// Unmount takes the mount away, unless somebody uses it: that is ErrBusy. One that has been
// detached already only waits for who has files open, and is busy until then. After another error
// it is still there.
func (m *Mount) Unmount() error { return m.unmount(0, "-u") }

// Detach takes the mount away for all who don't use it yet. Those who have files open can go on,
// and Done waits for them.
func (m *Mount) Detach() error { return m.unmount(unix.MNT_DETACH, "-uz") }

func (m *Mount) unmount(flags int, option string) error {
	point, err := m.where()
	switch {
	case err != nil:
		return err
	case point == "":
		return ErrBusy
	}
	if os.Geteuid() == 0 {
		err := unix.Unmount(point, flags)
		if errors.Is(err, unix.EBUSY) {
			return ErrBusy
		}
		return err
	}
	program, err := helper()
	if err != nil {
		return err
	}
	cmd := exec.Command(program, option, "--", point)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us alone
	var text bytes.Buffer
	cmd.Stderr = &text
	if err = cmd.Run(); err == nil {
		return nil
	}
	if strings.Contains(text.String(), "busy") {
		return ErrBusy
	}
	return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(text.String()))
}

// where is the path where it is mounted now, or nothing: a folder on the way may have another name,
// and somebody may have detached it, or mounted something else in its place or on top of it.
func (m *Mount) where() (string, error) {
	all, err := mountinfo.GetMounts(func(at *mountinfo.Info) (skip, stop bool) {
		return !m.is(at), false
	})
	for _, one := range all {
		if at, err := mountAt(one.Mountpoint); err != nil || at != nil && m.is(at) {
			return one.Mountpoint, err
		}
	}
	return "", err
}

func (m *Mount) is(at *mountinfo.Info) bool {
	return unix.Mkdev(uint32(at.Major), uint32(at.Minor)) == m.device
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
