package apply

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"lvmsync/format"
	"lvmsync/format/storage"
	"lvmsync/format/storage/kernel"
)

// checkSize compares the sizes of destination and volume. That of the volume is what it has in the
// end; on the way there it may have been larger.
func (d *destination) checkSize(volumeSize, largest int64, o Options) error {
	sizes := fmt.Sprintf("%s has %d bytes, the volume %d", d.path, d.size, volumeSize)
	switch {
	case d.size > volumeSize && volumeSize < largest:
		o.Warn(sizes + ": what lies beyond is no part of it, and may be overwritten")
	case d.size > volumeSize:
		o.Warn(sizes + ": what lies beyond is left alone")
	case d.size < volumeSize && !o.AllowSmaller:
		return &TooSmallError{d.path, d.isDevice, d.size, volumeSize}
	case d.size < volumeSize:
		o.Warn(fmt.Sprintf("%s: the last %d are cut off", sizes, volumeSize-d.size))
	}
	return nil
}

// checkUsers refuses a destination that somebody else may write to, or that
// can't be opened for our use alone because it is claimed.
func checkUsers(path string, claimed bool, o Options) error {
	var usage storage.Usage
	id, err := o.system.identify(path)
	if err == nil {
		usage, err = o.system.users(id)
	}
	if err != nil && !claimed && !o.Force {
		return fmt.Errorf("find out who uses %s: %w", path, err)
	}
	if err != nil {
		o.Warn(fmt.Sprintf("who uses %s is not known: %v", path, err))
	}
	if usage.Unseen > 0 {
		o.Warn(fmt.Sprintf("%d processes could not be looked at: "+
			"whether one has %s open is not known", usage.Unseen, path))
	}
	var texts []string
	for _, u := range usage.Users {
		if mayWrite(u) || claimed {
			texts = append(texts, u.String())
		}
	}
	text := strings.Join(texts, "; ")
	switch {
	case text == "" && !claimed:
		return nil
	case text == "":
		text = "claimed by the kernel or another program"
	}
	if o.Force {
		o.Warn(fmt.Sprintf("forced: %s is %s", path, text))
		return nil
	}
	return fmt.Errorf("%w: %s is %s", ErrInUse, path, text)
}

// checkSource refuses to write to a device that the patch was read from, or
// to its snapshot, whatever its name is now. With force a full patch may go back
// to where it came from: that is how a backup is restored. It is not offered to
// one of several patches, for the deltas behind it can't.
func checkSource(path string, h format.Header, several bool, o Options) error {
	return eachSource(path, h, o, func(_ storage.ID, dst format.Source, from format.Header) error {
		if !sameSource(from, dst) {
			return nil
		}
		return refuseSource(path, h, several, o)
	})
}

// eachSource asks about each source of a patch, until one is refused, whether it is a destination.
func eachSource(path string, h format.Header, o Options,
	check func(id storage.ID, dst format.Source, from format.Header) error) error {
	sources := h.Sources()
	if len(sources) == 0 {
		return nil
	}
	id, err := o.system.identify(path)
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	dst := o.system.describe(path, id)
	for _, from := range sources {
		if err := check(id, dst, from); err != nil {
			return err
		}
	}
	return nil
}

// checkStack refuses a destination of which a part is a device that the patch was
// read from, as the disk of a volume is. Whoever uses it has been found before that:
// only one of the two can be overruled for a delta, but the other one says more.
func checkStack(path string, h format.Header, several bool, o Options) error {
	return eachSource(path, h, o, func(id storage.ID, dst format.Source,
		from format.Header) error {
		if sameSource(from, dst) || !inBootOf(from, dst) && !sameHost(from) {
			return nil // it has been told, or is of another machine
		}
		var uuids []string
		for _, uuid := range []string{from.Source.DeviceUUID, snapshotDeviceUUID(from.Source)} {
			if uuid != "" {
				uuids = append(uuids, uuid)
			}
		}
		shared, err := o.system.shares(id, from.Source, uuids...)
		if err != nil {
			return fmt.Errorf("find out whether %s is the source of the patch: %w", path, err)
		}
		if !shared {
			return nil
		}
		return refuseSource(path, h, several, o)
	})
}

func refuseSource(path string, h format.Header, several bool, o Options) error {
	if o.Force && h.Kind == format.Full {
		o.Warn(fmt.Sprintf("forced: %s is where the patch came from", path))
		return nil
	}
	if h.Kind == format.Full && !several {
		return fmt.Errorf("%w: %s", ErrRestore, path)
	}
	return fmt.Errorf("%w: %s", ErrOwnSource, path)
}

// sameSource tells whether the patch came from dst. Device numbers count during
// one boot, and device-mapper gives those of a device that has gone to the next
// one: its UUIDs are better, where there are any. They count on one machine: a
// disk may have been cloned to another one. Better still are the places where the
// bytes are, which has them under every name.
func sameSource(h format.Header, dst format.Source) bool {
	src := h.Source
	if src.DeviceUUID != "" && dst.DeviceUUID != "" && (inBootOf(h, dst) || sameHost(h)) &&
		(dst.DeviceUUID == src.DeviceUUID || dst.DeviceUUID == snapshotDeviceUUID(src)) {
		return true
	}
	if !inBootOf(h, dst) {
		return false
	}
	if len(src.Storage) > 0 && len(dst.Storage) > 0 {
		return slices.ContainsFunc(src.Storage, func(p format.Place) bool {
			return slices.ContainsFunc(dst.Storage, p.Overlaps)
		})
	}
	return (src.DeviceUUID == "" || dst.DeviceUUID == "") &&
		src.DeviceID != "" && src.DeviceID == dst.DeviceID
}

func inBootOf(h format.Header, dst format.Source) bool {
	return h.Source.BootID != "" && h.Source.BootID == dst.BootID
}

// sameHost tells whether the patch was made on this machine. An unknown one is like
// another unknown: rather refuse too much.
func sameHost(h format.Header) bool {
	host, _ := os.Hostname()
	return h.Host == host
}

// snapshotDeviceUUID is the device-mapper UUID of the patch's snapshot, if it has one.
func snapshotDeviceUUID(s format.Source) string {
	if s.VGUUID == "" || s.SnapshotUUID == "" {
		return ""
	}
	return kernel.LVMUUID(s.VGUUID, s.SnapshotUUID)
}
