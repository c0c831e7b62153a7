package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/kernel"
)

// A backing is what a loop device lies on.
type backing struct {
	id  ID
	off int64 // where the loop device begins in it, in bytes
}

// loopBacking asks the loop device id what it lies on. It gives false if there is nothing behind it
// any more, or nobody can tell; and errNoAnswer.
//
// The kernel is asked for device and inode. Its name for the file, in sysfs, is the one that it had
// when it was opened: another file may have that by now, and a file may have lost it. It counts
// only where the loop device can't be opened.
func (o *overlays) loopBacking(id ID) (b backing, ok bool, err error) {
	info, err := loopStatus(id)
	switch {
	case errors.Is(err, unix.ENXIO): // let go of just now
		return b, false, nil
	case errors.Is(err, errNoAnswer):
		return b, false, err
	case err != nil:
		return backingByName(id)
	}
	b.off = int64(info.Offset)
	if num, ok := deviceBehind(info); ok {
		b.id = DeviceID(num)
	} else {
		b.id = o.behind(ID{DevNum: kernel.Of(info.Device), Inode: info.Inode}, backingName(id))
	}
	return b, true, nil
}

func backingByName(id ID) (b backing, ok bool, err error) {
	b.off = max(0, id.Number("loop/offset"))
	b.id, err = answerOf(id, func() (ID, error) { return Identify(backingName(id)) })
	if errors.Is(err, errNoAnswer) {
		return b, false, err
	}
	return b, err == nil, nil
}

// deviceBehind is the device that a loop device lies on, if it is no file.
func deviceBehind(info *unix.LoopInfo64) (kernel.DevNum, bool) {
	// Of a file the kernel gave the device twice, before Linux 5.16.
	return kernel.Of(info.Rdevice), info.Rdevice != 0 && info.Rdevice != info.Device
}

// behind finds the file behind one that the kernel calls name, in whatever mount namespace, if that
// is in an overlay.
func (o *overlays) behind(file ID, name string) ID {
	if !o.mayHave(file) {
		return file
	}
	candidates := []string{name}
	for _, ns := range o.namespaces() {
		candidates = append(candidates, filepath.Join(ns.root, name))
	}
	for _, path := range candidates {
		if now, ok := identifyInMemory(path); ok && now == file {
			if real, ok := o.identifyFD(path); ok {
				return real
			}
		}
	}
	return file
}

// backingName is the name of the file behind a loop device when that was made.
func backingName(loop ID) string {
	return loop.Attr("loop/backing_file")
}

func loopStatus(id ID) (*unix.LoopInfo64, error) {
	return answerOf(id, func() (info *unix.LoopInfo64, err error) {
		f, err := os.Open(id.Path())
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if now, err := IdentifyFile(f); err != nil || now != id {
			return nil, fmt.Errorf("%s is not %s", f.Name(), id)
		}
		err = kernel.Control(f, func(fd int) (err error) {
			info, err = unix.IoctlLoopGetStatus64(fd)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("ask %s for what is behind it: %w", f.Name(), err)
		}
		return info, nil
	})
}
