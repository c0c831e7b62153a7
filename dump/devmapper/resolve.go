package devmapper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/kernel"
)

// ErrNotFound means that a name leads to nothing: no logical volume, device or file.
var ErrNotFound = errors.New("no such logical volume, device or file")

// ErrInactive means that a logical volume exists, but has no device. The message tells how to
// activate it.
var ErrInactive = errors.New("is not active")

// errNoNode is about a logical volume that has a device.
var errNoNode = errors.New("is active, but has no node")

// Vanished tells whether an error may be due to a volume that was deactivated just now.
func Vanished(err error) bool {
	for _, cause := range []error{kernel.ErrNotDM, errNoNode, fs.ErrNotExist,
		unix.ENXIO, unix.ENODEV} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// Resolve finds the path of the block device or file that a user names in one of the ways LVM users
// do: "vg/lv", "/dev/vg/lv", "/dev/mapper/vg-lv", "/dev/dm-7", or any other path. A name of the
// form "vg/lv" is the logical volume if there is one with a device, else a relative path. What is
// at the path may be of any kind.
//
// lvs is asked only about a name that leads to nothing, to tell [ErrInactive] from [ErrNotFound].
func Resolve(ctx context.Context, name string) (string, error) {
	short := isVolumeName(name)
	if short {
		path := filepath.Join(kernel.Dev, name)
		if _, err := blockDeviceAt(path); err == nil {
			return path, nil
		}
	}
	info, err := os.Stat(name)
	missed := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
	switch {
	case (missed || err == nil && info.IsDir()) && isGroup(name):
		return "", fmt.Errorf("%s is a volume group: name a volume in it", name)
	case err == nil:
		return name, nil
	case !missed:
		return "", err
	}
	if !mayBeVolume(name) {
		return "", notFound(name)
	}
	return missing(ctx, name)
}

// isVolumeName tells whether a name has the form "vg/lv".
func isVolumeName(name string) bool {
	vg, lv, ok := strings.Cut(name, "/")
	for _, part := range []string{vg, lv} {
		ok = ok && part != "" && part != "." && part != ".." && !strings.Contains(part, "/")
	}
	return ok
}

// mayBeVolume tells whether LVM may have a volume of that name, if there is no device: vg/lv,
// /dev/vg/lv or /dev/mapper/vg-lv. Of a disk, a partition or a loop device it knows nothing.
func mayBeVolume(name string) bool {
	rest, ok := strings.CutPrefix(name, kernel.Dev+"/")
	return isVolumeName(name) || ok && isVolumeName(rest)
}

// missing asks LVM why there was no device of that name. That takes a while, in which another
// program may have given it one.
func missing(ctx context.Context, name string) (path string, err error) {
	v, err := LVNamed(ctx, name)
	switch {
	case errors.Is(err, ErrNoLV):
		return "", notFound(name)
	case err != nil && ctx.Err() != nil:
		return "", err
	case err != nil:
		return "", fmt.Errorf("%w (nor could LVM be asked: %w)", notFound(name), err)
	case v.inner() != "":
		return "", &InnerError{v}
	case v.Active:
		path = filepath.Join(kernel.Dev, v.VG, v.Name)
		if num, err := blockDeviceAt(path); err == nil && num == v.Num {
			return path, nil
		}
		return "", fmt.Errorf(`logical volume %s/%s %w in %s: try "vgmknodes %s"`, v.VG, v.Name,
			errNoNode, kernel.Dev, v.VG)
	}
	return "", &InactiveError{v}
}

// An InactiveError is about a logical volume without a device. It wraps [ErrInactive].
type InactiveError struct{ LV LogicalVolume }

func (e *InactiveError) Error() string {
	return fmt.Sprintf("logical volume %s/%s %v: activate it with %q", e.LV.VG, e.LV.Name,
		ErrInactive, "lvchange "+strings.Join(e.LV.activation(), " "))
}

// Unwrap makes errors.Is find ErrInactive.
func (e *InactiveError) Unwrap() error { return ErrInactive }

func notFound(name string) error { return fmt.Errorf("%w: %s", ErrNotFound, name) }

// Activate gives an inactive volume its device. Once begun it is waited for, whatever becomes of
// ctx.
func (v LogicalVolume) Activate(ctx context.Context, trace Trace) error {
	if err := lvchange(ctx, trace, v.activation()...); err != nil {
		return fmt.Errorf("activate %s/%s: %w", v.VG, v.Name, err)
	}
	return nil
}

// Deactivate takes its device away again; it fails if somebody has that open.
func (v LogicalVolume) Deactivate(ctx context.Context, trace Trace) error {
	if err := lvchange(ctx, trace, "-an", v.VG+"/"+v.Name); err != nil {
		return fmt.Errorf("deactivate %s/%s again: %w", v.VG, v.Name, err)
	}
	return nil
}

func lvchange(ctx context.Context, trace Trace, args ...string) error {
	return change(ctx, trace, "lvchange",
		append(args, "--reportformat", "json", "--config", plainConfig)...)
}

// activation is what lvchange has to be told to give an inactive volume its device.
func (v LogicalVolume) activation() []string {
	name := v.Name
	if strings.IndexAny(v.Attr, "sS") == 0 && v.Pool == "" && v.Origin != "" {
		// a thick snapshot is activated with its origin: lvchange asks back if it is named itself
		name = v.Origin
	}
	args := []string{"-ay"}
	if len(v.Attr) > 9 && v.Attr[9] == 'k' { // lvs(8): skip activation
		args = append(args, "-K")
	}
	return append(args, v.VG+"/"+name)
}
