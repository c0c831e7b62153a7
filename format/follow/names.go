package follow

import (
	"github.com/google/uuid"

	"lvmsync/format"
)

// Leads are the names that others may have for where the patch leads: ids of patches and UUIDs of
// snapshots. Whatever is [Linked] to it starts from one of them.
func Leads(h format.Header) []string {
	h = h.Last()
	s := StateOf(h)
	names := append(patchNames(h.ID, s.Patch), patchNames(s.Patches...)...)
	return append(names, snapshotNames(s.Snapshot)...)
}

// State names the state that the patch leads to: two that lead to one have the same, that of the
// snapshot or, where it has no name, of the patch that led there first.
func State(h format.Header) string {
	names := snapshotNames(StateOf(h).Snapshot)
	if s := StateOf(h); len(names) == 0 {
		names = patchNames(append(s.Patches, s.Patch, h.ID)...)
	}
	return names[0]
}

// Starts are the names that the patch has for where it starts.
func Starts(h format.Header) []string {
	b := BaseOf(h.First())
	if b.Patch != uuid.Nil {
		return patchNames(b.Patch)
	}
	return snapshotNames(b.Snapshot)
}

func patchNames(ids ...uuid.UUID) (names []string) {
	for _, id := range ids {
		if id != uuid.Nil {
			names = append(names, "patch "+id.String())
		}
	}
	return names
}

func snapshotNames(id string) []string {
	if id == "" {
		return nil
	}
	return []string{"volume " + id}
}

// Volume names the volume of the patch, for programs: by its UUID, or by host and path where it
// has none. One that is a snapshot has the name that it has as one.
func Volume(h format.Header) string {
	if h.Source.LVUUID != "" {
		return snapshotNames(h.Source.LVUUID)[0]
	}
	return "path " + h.Host + " " + h.Source.Path
}
