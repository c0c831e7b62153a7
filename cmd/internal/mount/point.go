package mount

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"

	"lvmsync/format/durable"
)

// What keeps an archive from being mounted. Hint says what to do about it.
var (
	ErrNoPoint   = errors.New("the folder to mount on is not there")
	ErrNotFolder = errors.New("it is not a folder")
	ErrNotEmpty  = errors.New("it is not empty")
	ErrMounted   = errors.New("an archive is mounted there already")
	ErrStale     = errors.New("a mount is there whose program has ended")
	ErrNoFUSE    = errors.New("this kernel has no FUSE, or has not loaded it")
	ErrNoHelper  = errors.New("fusermount3, which mounts for those who are not root, is not there")
	ErrNoOthers  = errors.New("/etc/fuse.conf does not have the line user_allow_other")
	ErrMount     = errors.New("mount")
)

// hints are what to do about these.
var hints = []struct {
	about error
	hint  string
}{
	{ErrNoPoint, "make it, with mkdir"},
	{ErrNotEmpty, "name an empty folder: what is in it would be hidden"},
	{ErrMounted, "umount it first, or look there"},
	{ErrStale, "take it away with \"fusermount3 -u\", or as root with umount, and its path"},
	{ErrNoFUSE, "modprobe fuse; in a container, give it the device /dev/fuse"},
	{ErrNoHelper, "install the package fuse3, or run as root"},
	{ErrNoOthers, "add it, or run as root"},
	{unix.EPERM, "run as root; a container needs CAP_SYS_ADMIN, too"},
}

// Hint says what to do about an error of this package, or nothing.
func Hint(err error) string {
	for _, known := range hints {
		if errors.Is(err, known.about) && (known.about != unix.EPERM || errors.Is(err, ErrMount)) {
			return known.hint
		}
	}
	var said *HelperError
	if errors.As(err, &said) {
		return said.hint()
	}
	return ""
}

// CheckPoint makes sure that a folder can be mounted on, and returns it as the kernel names it.
func CheckPoint(path string) (string, error) {
	about := func(err error) error { return fmt.Errorf("mount on %s: %w", path, err) }
	switch st, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return "", about(ErrNoPoint)
	case err != nil:
		return "", about(staleError(err))
	case !st.IsDir():
		return "", about(ErrNotFolder)
	}
	full, err := filepath.Abs(path)
	if err == nil {
		full, err = filepath.EvalSymlinks(full)
	}
	if err != nil {
		return "", about(durable.Cause(err))
	}
	f, err := os.Open(full)
	if err != nil {
		return "", about(staleError(err))
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	m, _ := mountAt(full) // else it's only told less well
	switch {
	case err == nil && m != nil && m.FSType == "fuse."+name:
		return "", about(ErrMounted)
	case err == nil:
		return "", about(ErrNotEmpty)
	case err != io.EOF:
		return "", about(staleError(err))
	}
	return full, nil
}

// staleError is an error of looking at a folder, which may have lost who served it.
func staleError(err error) error {
	if errors.Is(err, unix.ENOTCONN) {
		return fmt.Errorf("%w: %w", ErrStale, durable.Cause(err))
	}
	return durable.Cause(err)
}

// fuseDevice is what file systems are served through.
const fuseDevice = "/dev/fuse"

// checkFUSE makes sure, as far as that can be told beforehand, that this user can mount.
func checkFUSE(allowOther bool) error {
	f, err := os.OpenFile(fuseDevice, os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("open %s: %w: %w", fuseDevice, ErrNoFUSE, durable.Cause(err))
	case os.Geteuid() == 0:
		return fmt.Errorf("open %s: %w", fuseDevice, durable.Cause(err))
	}
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := helper(); err != nil {
		return err
	}
	config, _ := os.ReadFile("/etc/fuse.conf") // not there: it has no line
	if allowOther && !regexp.MustCompile(`(?m)^\s*user_allow_other\s*$`).Match(config) {
		return fmt.Errorf("let other users read: %w", ErrNoOthers)
	}
	return nil
}

// helper finds the program that mounts for those who may not.
func helper() (string, error) {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount",
		"/bin/fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoHelper
}

// mountError is the error of mounting.
func mountError(point string, err error) error {
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("mount on %s: %w: %w", point, ErrNoFUSE, durable.Cause(err))
	}
	return fmt.Errorf("%w on %s: %w", ErrMount, point, durable.Cause(err))
}
