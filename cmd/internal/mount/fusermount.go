package mount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"lvmsync/format/durable"
)

// A HelperError is about the program that mounts and unmounts for who isn't root.
type HelperError struct {
	Program string // its name
	Says    string // what it has printed, on one line; may be empty
	Err     error  // how it ended
}

// Error gives what the program says, or how it ended if it says nothing.
func (e *HelperError) Error() string {
	if e.Says != "" {
		return e.Program + ": " + e.Says
	}
	return fmt.Sprintf("%s says nothing and has ended with: %v", e.Program, e.Err)
}

// Unwrap gives how it ended.
func (e *HelperError) Unwrap() error { return e.Err }

// helperHints are what to do about what the program says, by a part of that.
var helperHints = []struct{ says, hint string }{
	{"no write access", "name a folder that you may write to"},
	{"not owned by user", "name a folder of your own"},
	{"too many FUSE filesystems",
		"umount one of them, raise mount_max in /etc/fuse.conf, or run as root"},
	{"is forbidden", "name a folder on a disk, or run as root"},
	{"user_allow_other", "add that line to /etc/fuse.conf, or run as root"},
	{"modprobe fuse", "as root: modprobe fuse; a container needs the device /dev/fuse"},
	{fuseDevice, "let yourself read and write it, or run as root"},
	{"ermission denied", "run as root, or put right the modes of what is named"},
	{"not permitted", "run as root, or have it installed with its setuid bit; a container, or a " +
		"service with NoNewPrivileges, doesn't let it mount"},
}

// hint says what to do about it.
func (e *HelperError) hint() string {
	for _, known := range helperHints {
		if strings.Contains(e.Says, known.says) {
			return known.hint
		}
	}
	return "try the same as root, who needs no " + e.Program
}

// runHelper runs the program, in a group of its own: Ctrl-C is for us alone.
func runHelper(program string, files []*os.File, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "_FUSE_COMMFD=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.ExtraFiles = files
	var text bytes.Buffer
	cmd.Stderr = &text
	err := cmd.Run()
	if err == nil {
		return nil
	}
	name := filepath.Base(program)
	var lines []string
	for line := range strings.Lines(text.String()) {
		if line = strings.TrimPrefix(strings.TrimSpace(line), name+": "); line != "" {
			lines = append(lines, line)
		}
	}
	return &HelperError{name, strings.Join(lines, "; "), err}
}

// mountByHelper has the program mount, and returns the name by which package fuse takes over what
// it was given: it would only tell how the program has ended.
func mountByHelper(point string, o *fuse.MountOptions) (name string, err error) {
	program, err := helper()
	if err != nil {
		return "", err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(pair[0])
	remote := os.NewFile(uintptr(pair[1]), "fusermount")
	err = runHelper(program, []*os.File{remote}, "-o", helperOptions(o), "--", point)
	remote.Close() // or nobody would end a wait for what it has not sent
	if err != nil {
		return "", err
	}
	fd, err := receiveFile(pair[0])
	if err != nil {
		return "", &HelperError{Program: filepath.Base(program), Err: err}
	}
	return fmt.Sprintf("/dev/fd/%d", fd), nil
}

// helperOptions are the options as the program takes them.
func helperOptions(o *fuse.MountOptions) string {
	all := append([]string{"fsname=" + o.FsName, "subtype=" + o.Name,
		fmt.Sprintf("max_read=%d", o.MaxWrite)}, o.Options...)
	if o.AllowOther {
		all = append(all, "allow_other")
	}
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`)
	for i := range all {
		all[i] = escape.Replace(all[i])
	}
	return strings.Join(all, ",")
}

// receiveFile receives the file that the program has opened.
func receiveFile(socket int) (fd int, err error) {
	data, control := make([]byte, 4), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, data, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, durable.Cause(err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err == nil && len(messages) == 1 {
		var files []int
		if files, err = unix.ParseUnixRights(&messages[0]); err == nil && len(files) == 1 {
			return files[0], nil
		}
	}
	return 0, errors.Join(errors.New("no file has come from it"), err)
}
