package blockdev

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// Kind is the way in which something uses a device or file.
type Kind int

// The kinds of users, in the order in which Users lists them.
const (
	// Mounted: a file system on it is mounted.
	Mounted Kind = iota
	// Stacked: another block device lies on it, such as dm-crypt, a volume group or a RAID.
	Stacked
	// Loop: a loop device has it as its backing file or device.
	Loop
	// Swap: the kernel swaps to it.
	Swap
	// OpenForWriting: a process has it open for writing.
	OpenForWriting
)

// User is somebody, or something in the kernel, that uses a device or file. Fields that do not belong to its kind are
// empty.
type User struct {
	Kind Kind
	// Via is empty if the device or file itself is used. Otherwise it is the device stacked on it that is used, as
	// "dm-3 (vg-crypt)".
	Via string
	// ReadOnly is true if the user cannot write: the mount or the stacked device is read-only.
	ReadOnly bool
	// Mountpoint and FSType, for example "/srv" and "ext4", are those of a mount.
	Mountpoint, FSType string
	// Device is the stacked or loop device, for example "dm-3 (vg-crypt)" or "loop7".
	Device string
	// PID and Process, the name of the program (the kernel keeps 15 bytes of it), are those of a process.
	PID     int
	Process string
}

// String says what the user does, to follow the name of the device: "mounted on /srv (ext4, rw)".
func (u User) String() string {
	s := u.what()
	if u.Via != "" {
		s += " through " + u.Via
	}
	return s
}

func (u User) what() string {
	switch u.Kind {
	case Mounted:
		mode := "rw"
		if u.ReadOnly {
			mode = "ro"
		}
		return fmt.Sprintf("mounted on %s (%s, %s)", u.Mountpoint, u.FSType, mode)
	case Stacked:
		return "in use by " + u.Device
	case Loop:
		return "behind loop device /dev/" + u.Device
	case Swap:
		return "used as swap"
	}
	return fmt.Sprintf("open for writing by %s (pid %d)", u.Process, u.PID)
}

// Usage is what Users found.
type Usage struct {
	Users []User
	// Unseen counts the processes whose open files could not be looked at for want of permission.
	Unseen int
}

// Users finds who uses the block device or file, or anything stacked on it, except this process: mounts, stacked
// devices, loop devices and swap, whether they write or not, and processes that hold it open for writing. (A thick
// snapshot is stacked on the hidden -real device of its origin, not on the origin, and is no user of it.)
//
// It is a look at a moment, no lock: somebody may come and go while it runs. Not seen are mounts in other mount
// namespaces, and processes that mapped a file into memory and closed it.
func Users(id ID) (Usage, error) {
	layers, err := above(id)
	if err != nil {
		return Usage{}, fmt.Errorf("who uses %s: %w", id, err)
	}
	users, err := kernelUsers(id, layers)
	if err != nil {
		return Usage{}, fmt.Errorf("who uses %s: %w", id, err)
	}
	via := map[ID]string{id: ""}
	for _, l := range layers {
		via[l.id] = l.label()
	}
	writers, unseen, err := processesWriting(via)
	if err != nil {
		return Usage{}, fmt.Errorf("who uses %s: %w", id, err)
	}
	return Usage{Users: append(users, writers...), Unseen: unseen}, nil
}

// kernelUsers finds the users that are no processes.
func kernelUsers(id ID, layers []layer) ([]User, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	var mounted, stacked, loops, swap []User
	swaps := swapAreas()
	look := func(id ID, via string) {
		for _, m := range mountsFrom(mounts, id) {
			mounted = append(mounted, User{Kind: Mounted, Via: via, ReadOnly: readOnlyMount(m),
				Mountpoint: printable(m.Mountpoint), FSType: printable(m.FSType)})
		}
		if swaps[id] {
			swap = append(swap, User{Kind: Swap, Via: via})
		}
	}
	look(id, "")
	for _, l := range layers {
		look(l.id, l.label())
		switch l.kind {
		case holder:
			stacked = append(stacked, User{Kind: Stacked, Device: l.label(), ReadOnly: l.readOnly()})
		case loop:
			loops = append(loops, User{Kind: Loop, Device: l.name, ReadOnly: l.readOnly()})
		case partition: // that there is a partition table uses nothing
		}
	}
	return append(append(append(mounted, stacked...), loops...), swap...), nil
}

// swapAreas lists the devices and files that the kernel swaps to; none if the kernel has no swap at all.
func swapAreas() map[ID]bool {
	data, err := os.ReadFile(filepath.Join(procRoot, "swaps"))
	if err != nil {
		return nil
	}
	areas := make(map[ID]bool)
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, " ")
		if id, err := Identify(unescape.Replace(name)); err == nil {
			areas[id] = true
		}
	}
	return areas
}

// unescape undoes what the kernel does to names in /proc/swaps.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// printable makes a name that anybody may have chosen fit for a line on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
