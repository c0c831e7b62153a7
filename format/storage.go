package format

import "fmt"

// MaxPlaces bounds the places of a [Source].
const MaxPlaces = 64

// MaxSnapshots bounds the snapshots of a [Source].
const MaxSnapshots = 256

// A Place is a part of a device or file that data was read from, under the name that it had or another one.
type Place struct {
	ID     string `json:"id"`             // of the device or file, like Source.DeviceID, or "uuid" and a device-mapper UUID
	Born   string `json:"born,omitempty"` // of a file: when it was made, which tells it from a later one with its number
	Offset int64  `json:"offset"`         // in bytes
	Length int64  `json:"length"`         // in bytes; 0 means to the end
}

// Overlaps tells whether two places have a byte in common, in the same boot of the same machine.
func (p Place) Overlaps(o Place) bool {
	return p.ID == o.ID && (p.Born == o.Born || p.Born == "" || o.Born == "") &&
		(o.Length == 0 || p.Offset-o.Offset < o.Length) && (p.Length == 0 || o.Offset-p.Offset < p.Length)
}

func (s *Source) validate() error {
	if len(s.Snapshots) > MaxSnapshots {
		return fmt.Errorf("%d snapshots of the volume, limit %d", len(s.Snapshots), MaxSnapshots)
	}
	if len(s.Noted) > MaxSnapshots {
		return fmt.Errorf("notes of %d snapshots, limit %d", len(s.Noted), MaxSnapshots)
	}
	return validatePlaces(s.Storage)
}

func validatePlaces(places []Place) error {
	if len(places) > MaxPlaces {
		return fmt.Errorf("%d places of the source, limit %d", len(places), MaxPlaces)
	}
	for _, p := range places {
		if p.ID == "" || p.Offset < 0 || p.Length < 0 || p.Offset+p.Length < 0 {
			return fmt.Errorf("place of %d bytes at byte %d of the source %q", p.Length, p.Offset, Shown(p.ID))
		}
	}
	return nil
}
