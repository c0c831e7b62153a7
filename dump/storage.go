package dump

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"lvmsync/format"
	"lvmsync/format/storage"
	"lvmsync/format/storage/kernel"
)

// deviceID is the identity of a device or file in this boot, as a patch's header has it.
func deviceID(id storage.ID) string {
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

func deviceUUID(id storage.ID) string {
	if !id.Device {
		return ""
	}
	return id.UUID()
}

// AddStorage adds where the bytes of a device or file are that a patch is made from.
func AddStorage(s *format.Source, path string, id storage.ID) {
	places, err := storage.Places(id)
	if err != nil { // it's gone
		return
	}
	for _, p := range places {
		if p.ID == id {
			p.Name = path
		}
		place := format.Place{ID: deviceID(p.ID), Offset: p.Off, Length: p.Len}
		if uuid := deviceUUID(p.ID); uuid != "" {
			place.ID = "uuid " + uuid
		}
		if born, ok := storage.Born(p.Name, p.ID); ok && !p.ID.Device {
			place.Born = born.Format(time.RFC3339Nano)
		}
		if len(s.Storage) < format.MaxPlaces {
			s.Storage = append(s.Storage, place)
		}
	}
}

// SharesStorage tells whether a device or file shares storage with the device that a patch of this boot was read from, or
// with one of those with the given device-mapper UUIDs, as far as they are still there.
func SharesStorage(id storage.ID, source format.Source, uuids ...string) (bool, error) {
	own, err := storage.Of(id)
	if err != nil {
		return false, err
	}
	var sources []storage.ID
	if from, ok := stillThere(source); ok {
		sources = append(sources, from)
	}
	for _, uuid := range uuids {
		if from, err := kernel.ByUUID(uuid); err == nil {
			sources = append(sources, storage.DeviceID(from))
		}
	}
	for _, from := range sources {
		theirs, err := storage.Of(from)
		if err == nil && own.Overlaps(theirs) {
			return true, nil
		}
	}
	return false, nil
}

// stillThere finds the device that a patch of this boot was read from.
func stillThere(source format.Source) (storage.ID, bool) {
	number, _, _ := strings.Cut(source.DeviceID, " ")
	num, err := kernel.Parse(number)
	id := storage.DeviceID(num)
	return id, err == nil && source.BootID != "" && source.BootID == bootID() &&
		source.DeviceID == deviceID(id) && source.DeviceUUID == deviceUUID(id)
}

func bootID() string { return kernel.Line("/proc/sys/kernel/random/boot_id") }
