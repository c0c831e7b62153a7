package storage

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/storage/kernel"
)

// places lists where the bytes of a device or file are, itself first, as far as that outlasts the
// device: who has the same place later, under whatever name, has the same bytes. It ends at logical
// volumes, for what LVM takes back when a volume is removed it gives to the next one, and at
// everything that may be anywhere in what it lies on.
func places(path string, id ID) ([]format.Place, error) {
	s, err := newSurvey().storageOf(id, everything, isLogicalVolume)
	if err != nil {
		return nil, fmt.Errorf("find the places of %s: %w", id, err)
	}
	loops, err := loopsByBacking() // for the names
	if err != nil && !errors.Is(err, ErrNoSysfs) {
		return nil, fmt.Errorf("find the places of %s: %w", id, err)
	}
	var found []format.Place
	for _, part := range s.order {
		p := format.Place{ID: deviceID(part)}
		name := surroundings{loops: loops}.nameOf(part)
		if part == id {
			name = path
		}
		if uuid := deviceUUID(part); uuid != "" {
			p.ID = "uuid " + uuid
		}
		if when, ok := born(name, part); ok {
			p.Born = when.Format(time.RFC3339Nano)
		}
		for _, at := range inOrder(s.parts[part].sure) {
			p.Offset, p.Length = at.start, at.end-at.start
			if at.end == math.MaxInt64 {
				p.Length = 0 // to the end
			}
			found = append(found, p)
		}
	}
	return found, nil
}

// isLogicalVolume tells whether a device is a volume of LVM, or a part of one.
func isLogicalVolume(id ID) bool { return id.Device && strings.HasPrefix(id.UUID(), "LVM-") }

// born tells when the file id was made, if path leads to it and its file system knows.
func born(path string, id ID) (time.Time, bool) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, new(overlays).real(path), 0, unix.STATX_INO|unix.STATX_BTIME,
		&st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 ||
		id != (ID{DevNum: kernel.DevNum{Major: st.Dev_major, Minor: st.Dev_minor}, Inode: st.Ino}) {
		return time.Time{}, false
	}
	return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec)).UTC(), true
}
