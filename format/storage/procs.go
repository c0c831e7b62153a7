package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/kernel"
)

// processesUsing finds the processes, other than this one, that hold any of the given devices and
// files open for writing, or that have locked another name of one. via says for each of them what
// User.Via is to be. unseen counts the processes that could not be looked at.
func processesUsing(via map[ID]string) (users []User, unseen int, err error) {
	entries, err := os.ReadDir(procRoot)
	if err != nil {
		return nil, 0, fmt.Errorf("list the processes: %w", err)
	}
	if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "1" }) {
		unseen++ // nor can others that are hidden as the first one is, by the option hidepid
	}
	files := new(overlays)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		uses, err := usesOf(pid, via, files)
		if errors.Is(err, fs.ErrPermission) {
			unseen++
		} else if err != nil && !gone(err) {
			return nil, 0, fmt.Errorf("open files of process %d: %w", pid, err)
		}
		for _, id := range uses.order {
			kind := uses.kinds[id]
			users = append(users, User{Kind: kind, ReadOnly: kind == Locked, Via: via[id], PID: pid,
				Process: processName(pid)})
		}
	}
	return users, unseen, nil
}

func processName(pid int) string {
	return printable(kernel.Line(filepath.Join(procRoot, strconv.Itoa(pid), "comm")))
}

// Uses are the ways in which a process uses devices and files.
type uses struct {
	kinds map[ID]Kind
	order []ID
}

func (u *uses) add(id ID, kind Kind) {
	if old, known := u.kinds[id]; !known {
		u.order = append(u.order, id)
	} else if old == OpenForWriting {
		return
	}
	u.kinds[id] = kind
}

// usesOf finds which of the wanted devices and files a process uses.
func usesOf(pid int, wanted map[ID]string, files *overlays) (uses, error) {
	dir := filepath.Join(procRoot, strconv.Itoa(pid))
	found := uses{kinds: make(map[ID]Kind)}
	look := func(dir string) error {
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			return err
		}
		for _, fd := range fds {
			path, info := filepath.Join(dir, "fd", fd.Name()),
				filepath.Join(dir, "fdinfo", fd.Name())
			id, ok := files.identifyFD(path)
			if _, want := wanted[id]; !ok || !want {
				continue
			}
			switch {
			case writable(info):
				found.add(id, OpenForWriting)
			case lockedAsAnother(path, info, id):
				found.add(id, Locked)
			}
		}
		return nil
	}
	err := look(dir)
	for _, id := range mappedForWriting(dir, files) {
		if _, want := wanted[id]; want {
			found.add(id, OpenForWriting)
		}
	}
	// A thread may have a file table of its own, and the others go on when the first one has ended.
	tasks, _ := os.ReadDir(filepath.Join(dir, "task")) // gone with the process
	for _, task := range tasks {
		if tid, tidErr := strconv.Atoi(task.Name()); tidErr != nil || tid == pid ||
			sharesFiles(pid, tid) {
			continue
		}
		if taskErr := look(filepath.Join(dir, "task", task.Name())); taskErr == nil {
			err = nil
		}
	}
	return found, err
}

// lockedAsAnother tells whether a descriptor has a lock on a file in an overlay, which who tries to
// lock the file id behind that does not meet. One of a file that this process has open, too, it has
// met, or has got from whoever started it.
func lockedAsAnother(path, fdinfo string, id ID) bool {
	named, ok := identifyInMemory(path)
	if !ok || named == id || !hasField(fdinfo, "lock:") {
		return false
	}
	// fails for a bad pattern only
	fds, _ := filepath.Glob(filepath.Join(procRoot, "self", "fd", "*"))
	return !slices.ContainsFunc(fds, func(fd string) bool {
		own, ok := identifyInMemory(fd)
		return ok && own == named
	})
}

func hasField(info, key string) bool {
	data, err := os.ReadFile(info)
	return err == nil && (strings.HasPrefix(string(data), key) ||
		strings.Contains(string(data), "\n"+key))
}

// mappedForWriting lists the devices and files that a process has mapped into its memory so that
// what it writes there goes to them: it may have closed them.
func mappedForWriting(dir string, files *overlays) (found []ID) {
	maps, err := os.ReadFile(filepath.Join(dir, "maps"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line) // range, permissions, offset, device, inode, name
		if len(f) < 6 || len(f[1]) < 4 || f[1][1] != 'w' || f[1][3] != 's' || f[4] == "0" {
			continue
		}
		if id, ok := files.identifyFD(filepath.Join(dir, "map_files", f[0])); ok &&
			!slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	return found
}

// sharesFiles tells whether two threads are sure to have one file table (KCMP_FILES of kcmp(2)).
func sharesFiles(a, b int) bool {
	const files = 2
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), files, 0, 0, 0)
	return errno == 0 && order == 0
}

// identifyFD identifies what a descriptor in /proc stands for.
func (o *overlays) identifyFD(path string) (ID, bool) {
	id, ok := identifyInMemory(path)
	if ok && o.mayHave(id) {
		if real := o.real(path); real != path {
			return identifyInMemory(real)
		}
	}
	return id, ok
}

// identifyInMemory identifies what a path leads to, where a file in an overlay is one of its own.
// It asks for what the kernel has in memory: a plain stat of a file on a dead network server would
// hang.
func identifyInMemory(path string) (ID, bool) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE|unix.STATX_INO,
		&st)
	if err != nil {
		return ID{}, false
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		return DeviceID(kernel.DevNum{Major: st.Rdev_major, Minor: st.Rdev_minor}), true
	case unix.S_IFREG:
		return ID{DevNum: kernel.DevNum{Major: st.Dev_major, Minor: st.Dev_minor}, Inode: st.Ino},
			true
	}
	return ID{}, false
}

// writable tells from an fdinfo file whether the descriptor was opened for writing.
func writable(fdinfo string) bool {
	data, err := os.ReadFile(fdinfo)
	if err != nil {
		return false // closed again
	}
	for line := range strings.Lines(string(data)) {
		if octal, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseUint(strings.TrimSpace(octal), 8, 64)
			mode := flags & unix.O_ACCMODE
			return err == nil && (mode == unix.O_WRONLY || mode == unix.O_RDWR)
		}
	}
	return false
}

// gone tells whether the error means that the process has ended.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}
