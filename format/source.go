package format

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// A Source says where a patch's data came from. Empty fields are unknown.
type Source struct {
	Type         string `json:"type"`                    // thick, cow, device or file
	Path         string `json:"path,omitempty"`          // device or file that data was read from
	DeviceUUID   string `json:"device_uuid,omitempty"`   // device-mapper UUID of that device
	DeviceID     string `json:"device_id,omitempty"`     // its major:minor, or dev:inode of a file
	BootID       string `json:"boot_id,omitempty"`       // boot during which DeviceID is valid
	Uptime       int64  `json:"uptime_ms,omitzero"`      // ms since that boot when the dump began
	VG           string `json:"vg,omitempty"`            // volume group
	VGUUID       string `json:"vg_uuid,omitempty"`       // as LVM prints it
	LV           string `json:"lv,omitempty"`            // logical volume that data was read from
	LVUUID       string `json:"lv_uuid,omitempty"`       // as LVM prints it
	Snapshot     string `json:"snapshot,omitempty"`      // snapshot that gave the changes
	SnapshotUUID string `json:"snapshot_uuid,omitempty"` // as LVM prints it
	// Snapshots are the UUIDs of the snapshots of the logical volume LVUUID that there were
	// when the dump began; nil: not known.
	Snapshots []string `json:"snapshots,omitzero"`
	// Noted says of snapshots of LVUUID, by their UUIDs, under which id the machine that dumped
	// has noted what the patch may bring and later patches from that snapshot have to bring
	// again: those that have that id in NotedBefore do.
	Noted map[string]uuid.UUID `json:"noted,omitempty"`
	// NotedBefore are ids in the note of the snapshot that the patch starts from or leads back
	// to: all that was noted under them, by earlier dumps, it brings again.
	NotedBefore []uuid.UUID `json:"noted_before,omitempty"`
	// Storage is where the bytes are, by whatever name, during the boot BootID.
	Storage []Place `json:"storage,omitempty"`
}

// MaxPlaces bounds the places of a [Source].
const MaxPlaces = 64

// MaxSnapshots bounds the snapshots of a [Source].
const MaxSnapshots = 256

// MaxNotedBefore bounds the earlier dumps that a [Source] tells of.
const MaxNotedBefore = 64

// A Place is a part of a device or file that data was read from, under the name that it had or
// another one.
type Place struct {
	// ID is that of the device or file, like Source.DeviceID, or "uuid" and a device-mapper UUID.
	ID string `json:"id"`
	// Born is when a file was made, which tells it from a later one with its number.
	Born   string `json:"born,omitempty"`
	Offset int64  `json:"offset"` // in bytes
	Length int64  `json:"length"` // in bytes; 0 means to the end
}

// Overlaps tells whether two places have a byte in common, in the same boot of the same machine.
func (p Place) Overlaps(o Place) bool {
	return p.ID == o.ID && (p.Born == o.Born || p.Born == "" || o.Born == "") &&
		(o.Length == 0 || p.Offset-o.Offset < o.Length) &&
		(p.Length == 0 || o.Offset-p.Offset < p.Length)
}

func (s *Source) validate() error {
	if len(s.Snapshots) > MaxSnapshots {
		return fmt.Errorf("%d snapshots of the volume, limit %d", len(s.Snapshots), MaxSnapshots)
	}
	if len(s.Noted) > MaxSnapshots {
		return fmt.Errorf("notes of %d snapshots, limit %d", len(s.Noted), MaxSnapshots)
	}
	if len(s.NotedBefore) > MaxNotedBefore {
		return fmt.Errorf("%d dumps noted before, limit %d", len(s.NotedBefore), MaxNotedBefore)
	}
	if slices.Contains(s.NotedBefore, uuid.Nil) {
		return errors.New("a dump noted before that has no id")
	}
	return validatePlaces(s.Storage)
}

func validatePlaces(places []Place) error {
	if len(places) > MaxPlaces {
		return fmt.Errorf("%d places of the source, limit %d", len(places), MaxPlaces)
	}
	for _, p := range places {
		if p.ID == "" || p.Offset < 0 || p.Length < 0 || p.Offset+p.Length < 0 {
			return fmt.Errorf("place of %d bytes at byte %d of the source %q",
				p.Length, p.Offset, Shown(p.ID))
		}
	}
	return nil
}
