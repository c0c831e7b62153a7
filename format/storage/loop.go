package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/kernel"
)

// A backing is what a loop device lies on.
type backing struct {
	id  ID
	off int64 // where the loop device begins in it, in bytes
}

// loopBacking asks the loop device id what it lies on.
//
// The kernel is asked for device and inode. Its name for the file, in sysfs, is the one that it had
// when it was opened: another file may have that by now, and a file may have lost it. It counts
// only where the loop device can't be opened.
func (o *overlays) loopBacking(id ID) (backing, bool) {
	info, err := loopStatus(id)
	// It was let go of just now; or its file can't be one that is read or written here.
	if errors.Is(err, unix.ENXIO) || errors.Is(err, errNoAnswer) {
		return backing{}, false
	}
	if err != nil {
		file, err := o.identify(backingName(id))
		off := id.Number("loop/offset")
		return backing{file, max(0, off)}, err == nil
	}
	b := backing{off: int64(info.Offset)}
	if num, ok := deviceBehind(info); ok {
		b.id = DeviceID(num)
	} else {
		b.id = o.behind(ID{DevNum: kernel.Of(info.Device), Inode: info.Inode}, backingName(id))
	}
	return b, true
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

// errNoAnswer means that the kernel waits for the file system of the file behind a loop device: the
// program or server that has it is gone, or hangs.
var errNoAnswer = errors.New("the file system of the file behind it doesn't answer")

// patience is how long a loop device may take to tell what is behind it.
var patience = 10 * time.Second

func loopStatus(id ID) (*unix.LoopInfo64, error) {
	f, err := os.Open(id.Path())
	if err != nil {
		return nil, err
	}
	if now, err := IdentifyFile(f); err != nil || now != id {
		f.Close()
		return nil, fmt.Errorf("%s is not %s", f.Name(), id)
	}
	var info *unix.LoopInfo64
	asked := make(chan error, 1)
	go func() {
		defer f.Close()
		asked <- kernel.Control(f, func(fd int) (err error) {
			info, err = unix.IoctlLoopGetStatus64(fd)
			return err
		})
	}()
	select {
	case err = <-asked:
	case <-time.After(patience):
		err = errNoAnswer
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for what is behind it: %w", f.Name(), err)
	}
	return info, nil
}
