package follow

import "lvmsync/format"

// otherVolume tells whether LVM says that the patches are of different volumes.
// What a leads to may be the very snapshot that b starts from. It may also be b's
// volume: a clone, or a snapshot of which others were made. And b may start from
// a's volume as if that were a snapshot, which it then was made as.
func otherVolume(a, b format.Header) bool {
	x, y := a.Source.LVUUID, b.Source.LVUUID
	if x == "" || y == "" || x == y {
		return false
	}
	var base string
	if b.Base != nil {
		base = b.Base.Snapshot
	}
	state := stateSnapshot(a)
	return (state == "" || state != base && state != y) && base != x
}

// asVolumeOf is the header a as a patch before b sees it. Where a leads to what is
// the volume for b, and not what b starts from, that did not stand still afterwards: it
// is no state of a name, but what the volume was when a was made.
func asVolumeOf(b, a format.Header) format.Header {
	state := stateSnapshot(a)
	if state == "" || state != b.Source.LVUUID || b.Base != nil && state == b.Base.Snapshot {
		return a
	}
	a.State = &format.State{Patch: a.State.Patch, Patches: a.State.Patches}
	a.Source.LVUUID, a.Source.Snapshots = state, nil
	return a
}

// stateSnapshot is the UUID of the snapshot that a patch leads to; empty if none is
// known.
func stateSnapshot(h format.Header) string {
	if h.State == nil {
		return ""
	}
	return h.State.Snapshot
}

// VolumeName names a patch's volume for people.
func VolumeName(h format.Header) string {
	h = h.Shown()
	if h.Source.LV == "" {
		return h.Source.Path
	}
	return h.Source.VG + "/" + h.Source.LV
}

// SnapshotName names one of a patch's snapshots for people: for the one that it was made
// of there is a name.
func SnapshotName(h format.Header, id string) string {
	if h.Source.Snapshot != "" && (h.Source.SnapshotUUID == id || h.Source.SnapshotUUID == "") {
		return format.Shown(h.Source.VG) + "/" + format.Shown(h.Source.Snapshot)
	}
	return format.Shown(id)
}
