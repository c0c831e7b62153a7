package storage

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"lvmsync/format"
	"lvmsync/format/storage/kernel"
)

// Describe tells what identifies the device or file id, which path leads to, as a patch's header
// has it.
func Describe(path string, id ID) format.Source {
	if abs, err := filepath.Abs(path); err == nil { // the patch is read elsewhere
		path = abs
	}
	s := format.Source{Type: "file", Path: path, BootID: bootID(), DeviceID: deviceID(id),
		DeviceUUID: deviceUUID(id)}
	if id.Device {
		s.Type = "device"
	}
	AddStorage(&s, path, id)
	return s
}

// deviceID is the identity of a device or file in this boot, as a patch's header has it.
func deviceID(id ID) string {
	if !id.Device {
		return fmt.Sprintf("%s inode %d", id.DevNum, id.Inode)
	}
	text := id.DevNum.String()
	// A number goes from one device to another, as with loop devices; this counts them.
	if seq := cmp.Or(id.Attr("diskseq"), id.Attr("../diskseq")); seq != "" {
		text += " diskseq " + seq
	}
	return text
}

func deviceUUID(id ID) string {
	if !id.Device {
		return ""
	}
	return id.UUID()
}

// AddStorage adds where the bytes of a device or file are that a patch is made from.
func AddStorage(s *format.Source, path string, id ID) {
	found, err := places(path, id)
	if err != nil { // it's gone
		return
	}
	s.Storage = append(s.Storage, found[:min(len(found), format.MaxPlaces-len(s.Storage))]...)
}

// SharesWith tells whether a device or file shares storage with the device that a patch of this
// boot was read from, or with one of those with the given device-mapper UUIDs, as far as they are
// still there.
func SharesWith(id ID, source format.Source, uuids ...string) (bool, error) {
	own, err := Of(id)
	if err != nil {
		return false, err
	}
	var sources []ID
	if from, ok := stillThere(source); ok {
		sources = append(sources, from)
	}
	for _, uuid := range uuids {
		if from, err := kernel.ByUUID(uuid); err == nil {
			sources = append(sources, DeviceID(from))
		}
	}
	for _, from := range sources {
		theirs, err := Of(from)
		if err != nil && from.Exists() {
			return false, err
		}
		if err == nil && own.Overlaps(theirs) {
			return true, nil
		}
	}
	return false, nil
}

// stillThere finds the device that a patch of this boot was read from.
func stillThere(source format.Source) (ID, bool) {
	number, _, _ := strings.Cut(source.DeviceID, " ")
	num, err := kernel.Parse(number)
	id := DeviceID(num)
	return id, err == nil && source.BootID != "" && source.BootID == bootID() &&
		source.DeviceID == deviceID(id) && source.DeviceUUID == deviceUUID(id)
}

func bootID() string { return kernel.Line("/proc/sys/kernel/random/boot_id") }
