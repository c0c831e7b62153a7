package storage

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/kernel"
)

// A Place is a part of a device or file that belongs to the storage of another one.
type Place struct {
	ID       ID
	Name     string // a path to the file, if one is known; of a device the kernel's name
	Off, Len int64  // bytes; a length of 0 means to the end
}

// Places lists where the bytes of a device or file are, itself first, as far as that outlasts the device: who has the
// same place later, under whatever name, has the same bytes. It ends at logical volumes, for what LVM takes back when a
// volume is removed it gives to the next one, and at everything that may be anywhere in what it lies on.
func Places(id ID) ([]Place, error) {
	s, err := make(survey).storageOf(id, isLogicalVolume)
	if err != nil {
		return nil, fmt.Errorf("find the places of %s: %w", id, err)
	}
	loops, err := loopsByBacking() // for the names
	if err != nil && !errors.Is(err, errNoSysfs) {
		return nil, fmt.Errorf("find the places of %s: %w", id, err)
	}
	var places []Place
	for _, id := range s.order {
		name := surroundings{loops: loops}.nameOf(id)
		for _, at := range inOrder(s.parts[id].sure) {
			p := Place{ID: id, Name: name, Off: at.start, Len: at.end - at.start}
			if at.end == math.MaxInt64 {
				p.Len = 0
			}
			places = append(places, p)
		}
	}
	return places, nil
}

// isLogicalVolume tells whether a device is a volume of LVM, or a part of one.
func isLogicalVolume(id ID) bool { return id.Device && strings.HasPrefix(id.UUID(), "LVM-") }

// Born tells when the file id was made, if path leads to it and its file system knows.
func Born(path string, id ID) (time.Time, bool) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, new(overlays).real(path), 0, unix.STATX_INO|unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 || id != (ID{DevNum: kernel.DevNum{Major: st.Dev_major, Minor: st.Dev_minor}, Inode: st.Ino}) {
		return time.Time{}, false
	}
	return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec)).UTC(), true
}
