package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
)

// errNoAnswer means that the kernel waits for the file system of the file behind a loop device: the
// program or server that has it is gone, or hangs.
var errNoAnswer = errors.New("does not answer")

// patience is how long a loop device may take to tell what is behind it.
var patience = 10 * time.Second

// waiting has a channel for each loop device that hasn't answered in time, by what tells it apart
// from others that had its number. It is closed when the answer comes.
var waiting sync.Map

// answerOf gives what ask finds out about a loop device, or errNoAnswer. Who has waited for one in
// vain isn't waited for again, unless the answer has come since.
func answerOf[T any](loop ID, ask func() (T, error)) (answer T, err error) {
	key := deviceID(loop)
	if late, ok := waiting.Load(key); ok {
		select {
		case <-late.(chan struct{}):
			waiting.Delete(key)
		default:
			return answer, noAnswer(loop)
		}
	}
	var found T
	var failed error
	done := make(chan struct{})
	go func() {
		found, failed = ask()
		close(done)
	}()
	select {
	case <-done:
		return found, failed
	case <-time.After(patience):
		waiting.Store(key, done)
		return answer, noAnswer(loop)
	}
}

func noAnswer(loop ID) error {
	return fmt.Errorf("%s %w: the file system of its file %s may hang; end that, or try "+
		"\"losetup -d /dev/%[1]s\"", loop.Name(), errNoAnswer, printable(backingName(loop)))
}

// A silent loop device is one that doesn't answer.
type silent struct {
	err    error
	mounts []*mountinfo.Info // where the name of its file leads
}

// silence finds out what is known of a loop device without asking it. The kernel's name for its
// file waits for no file system, nor does the table of mounts.
func (o *overlays) silence(loop ID, err error) silent {
	o.readOwn()
	name := backingName(loop)
	s := silent{err, leadingTo(o.own, name)}
	if slices.ContainsFunc(s.mounts, isServed) {
		return s
	}
	for _, ns := range o.namespaces() { // it may be a name of another one
		s.mounts = append(s.mounts, leadingTo(ns.mounts, name)...)
	}
	return s
}

// leadingTo picks the mounts that a path leads to: the longest mount points that it begins with.
func leadingTo(mounts []*mountinfo.Info, path string) (found []*mountinfo.Info) {
	longest := 0
	for _, m := range mounts {
		point := strings.TrimSuffix(m.Mountpoint, "/") + "/"
		if len(point) < longest || !strings.HasPrefix(path+"/", point) {
			continue
		}
		if len(point) > longest {
			longest, found = len(point), nil
		}
		found = append(found, m)
	}
	return found
}

// mayLieOn tells whether the loop device may lie on a device or file. It can't where its file is on
// another file system, one that waits for a program or server: that explains the silence. Else its
// name leads elsewhere than to the file, as after an unmount, or something else is wrong.
func (s silent) mayLieOn(id ID) bool {
	isThere := func(m *mountinfo.Info) bool {
		return !id.Device && uint32(m.Major) == id.Major && uint32(m.Minor) == id.Minor
	}
	return slices.ContainsFunc(s.mounts, isThere) || !slices.ContainsFunc(s.mounts, isServed)
}

// isServed tells whether a file system is known to be one of a server or program.
func isServed(m *mountinfo.Info) bool {
	kind, _, _ := strings.Cut(m.FSType, ".") // for example fuse.sshfs
	return slices.Contains([]string{"fuse", "fuseblk", "nfs", "nfs4", "cifs", "smb3", "ceph", "9p",
		"virtiofs", "afs", "lustre"}, kind)
}
