package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/moby/sys/mountinfo"
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
	// Locked: a process has locked it by a name in an overlay, where that has locks of its own.
	Locked
	// Claimed: the kernel, or a program, has it for its own use, and there is no more to be seen of
	// it, such as a disk of a ZFS pool.
	Claimed
)

// User is somebody, or something in the kernel, that uses a device or file. Fields that do not
// belong to its kind are empty.
type User struct {
	Kind Kind
	// Via is empty if the device or file itself is used. Otherwise it is what is used instead: a
	// device stacked on it, as "dm-3 (vg-crypt)"; something that it stands on, as "vda, beneath
	// it"; or another device on the same storage, as "loop1, on the same storage".
	Via string
	// ReadOnly is true if the user cannot write: the mount or the stacked device is read-only.
	ReadOnly bool
	// Mountpoint and FSType, for example "/srv" and "ext4", are those of a mount. Mountpoint is
	// empty if the kernel has it, but in no mount namespace that can be seen, as after umount
	// --lazy.
	Mountpoint, FSType string
	// Device is the stacked or loop device, for example "dm-3 (vg-crypt)" or "loop7".
	Device string
	// PID and Process, the name of the program (the kernel keeps 15 bytes of it), are those of a
	// process; for a mount, of one that has it in its mount namespace, if that is not ours.
	PID     int
	Process string
}

// String says what the user does, to follow the name of the device: "mounted on /srv (ext4, rw)".
func (u User) String() string {
	s := u.what()
	if u.Via != "" && u.Kind != Loop {
		s += " through " + u.Via
	}
	return s
}

func (u User) what() string {
	switch u.Kind {
	case Mounted:
		return u.mount()
	case Stacked:
		return "in use by " + u.Device
	case Loop:
		if u.Via != "" {
			return "on the same storage as loop device /dev/" + u.Device
		}
		return "behind loop device /dev/" + u.Device
	case Swap:
		return "used as swap"
	case Locked:
		return fmt.Sprintf("locked by %s (pid %d)", u.Process, u.PID)
	case Claimed:
		return "claimed by the kernel or another program"
	}
	return fmt.Sprintf("open for writing by %s (pid %d)", u.Process, u.PID)
}

func (u User) mount() string {
	if u.Mountpoint == "" {
		return fmt.Sprintf("mounted (%s) where it can't be seen", u.FSType)
	}
	mode := "rw"
	if u.ReadOnly {
		mode = "ro"
	}
	s := fmt.Sprintf("mounted on %s (%s, %s)", u.Mountpoint, u.FSType, mode)
	if u.PID != 0 {
		s += fmt.Sprintf(" in the mount namespace of %s (pid %d)", u.Process, u.PID)
	}
	return s
}

func mountUser(m *mountinfo.Info) User {
	return User{Kind: Mounted, ReadOnly: readOnlyMount(m), Mountpoint: printable(m.Mountpoint),
		FSType: printable(m.FSType)}
}

// Usage is what Users found.
type Usage struct {
	Users []User
	// Unseen counts the processes whose open files could not be looked at for want of permission.
	Unseen int
}

// Users finds who uses the block device or file, or anything that shares storage with it, except
// this process: mounts, stacked devices, loop devices and swap, whether they write or not, and
// processes that hold it open for writing. What shares storage is all that is stacked on it; all
// that it stands on, down to disks and image files; and what is stacked on those on the same bytes,
// like a second loop device of the same file. (See [Of]. A volume of the same group is no user, nor
// is another partition of the disk, nor a thick snapshot of its origin.)
//
// Of what is not stacked on it, mounts, loop devices, swap and processes count, and not that there
// is a device.
//
// Mounts in other mount namespaces count, and file systems that are mounted where nothing leads to
// them.
//
// It is a look at a moment, no lock: somebody may come and go while it runs.
func Users(id ID) (Usage, error) { return users(id, false) }

// UsersAndClaims finds also that a device which shares storage with id, but is neither that nor
// stacked on it, is claimed, where nothing else tells of it. Who tries to claim such a device at
// that moment, as mount does, may find it busy.
func UsersAndClaims(id ID) (Usage, error) { return users(id, true) }

func users(id ID, claims bool) (Usage, error) {
	s, err := around(id)
	if err != nil {
		return Usage{}, err
	}
	users, err := s.kernelUsers(id)
	if err != nil {
		return Usage{}, err
	}
	via := map[ID]string{id: ""}
	for _, l := range s.above {
		via[l.id] = l.label()
	}
	for _, l := range s.below {
		via[l.id] = l.beneath()
	}
	for _, l := range s.beside {
		via[l.id] = l.onTheSame()
	}
	writers, unseen, err := processesUsing(via)
	if err != nil {
		return Usage{}, err
	}
	users = append(users, writers...)
	if claims {
		users = append(users, s.claims(users)...)
	}
	return Usage{Users: users, Unseen: unseen}, nil
}

// beneath and onTheSame are the layer as User.Via has it.
func (l layer) beneath() string   { return l.label() + ", beneath it" }
func (l layer) onTheSame() string { return l.label() + ", on the same storage" }

// kernelUsers finds the users of the device or file, and of its surroundings, that are no
// processes.
func (s surroundings) kernelUsers(id ID) ([]User, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	var mounted, stacked, loops, swap []User
	swaps, others := swapAreas(), otherNamespaces()
	look := func(id ID, via string) {
		for _, u := range mountsOn(mounts, others, id) {
			u.Via = via
			mounted = append(mounted, u)
		}
		if swaps[id] {
			swap = append(swap, User{Kind: Swap, Via: via})
		}
	}
	look(id, "")
	for _, l := range s.above {
		look(l.id, l.label())
		switch l.kind {
		case holder:
			stacked = append(stacked, User{Kind: Stacked, Device: l.label(),
				ReadOnly: l.readOnly()})
		case loop:
			loops = append(loops, User{Kind: Loop, Device: l.name, ReadOnly: l.readOnly()})
		case partition, base: // that there is a partition table uses nothing
		}
	}
	for _, l := range s.below {
		look(l.id, l.beneath())
	}
	for _, l := range s.beside {
		look(l.id, l.onTheSame())
		if l.kind == loop {
			loops = append(loops, User{Kind: Loop, Via: l.onTheSame(), Device: l.name,
				ReadOnly: l.readOnly()})
		}
	}
	return append(append(append(mounted, stacked...), loops...), swap...), nil
}

// swapAreas lists the devices and files that the kernel swaps to; none if the kernel has no swap at
// all.
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
