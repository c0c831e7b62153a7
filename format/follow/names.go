package follow

import (
	"github.com/google/uuid"

	"lvmsync/format"
)

// Leads are the names that others may have for where the patch leads: ids of patches and UUIDs of
// snapshots. Whatever is [Linked] to it starts from one of them.
func Leads(h format.Header) []string {
	s := StateOf(h)
	return append(patchNames(h.ID, s.Patch), snapshotNames(s.Snapshot)...)
}

// Starts are the names that the patch has for where it starts.
func Starts(h format.Header) []string {
	b := BaseOf(h)
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
