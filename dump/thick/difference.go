package thick

import (
	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
)

// A version is what a volume holds: now, or when a snapshot was made of it.
type version struct {
	data  dump.Base                // nil if it can't be read
	file  *blockdev.File           // the data, where they are those of one device or file
	still bool                     // what has not changed is best read here
	lv    *devmapper.LogicalVolume // the snapshot by whose name it is known; nil: it has none
}

// differ says what leads from one version of a volume to another. They may differ in what was
// changed only, and past the end of a smaller one, where writes leave no exception. What is read
// and checked besides is for the caller to say.
func differ(info format.Source, from, to version, changed chunks) dump.Source {
	size := to.data.Size()
	if from.data != nil && from.data.Size() < size {
		changed = changed.with(from.data.Size(), size)
	}
	h := format.Header{
		Kind: format.Delta, Source: info, VolumeSize: size, Granularity: changed.size,
		Planned: new(format.Planned),
	}
	for e := range changed.extents(size) {
		h.Planned.Extents++
		h.Planned.Bytes += e.Len
	}
	if from.lv != nil {
		h.Base = &format.Base{Snapshot: from.lv.UUID, SnapshotCreated: from.lv.Created}
	}
	if to.lv != nil {
		h.State = &format.State{Snapshot: to.lv.UUID, SnapshotCreated: to.lv.Created}
	}
	src := dump.Source{
		Header: h, Extents: changed.extents(size), Data: to.data, SectorSize: format.SectorSize,
		Base: from.data,
	}
	if to.file != nil {
		src.SectorSize = to.file.LogicalBlockSize()
	}
	switch {
	case to.still:
		src.Unchanged = to.data
	case from.still:
		src.Unchanged = from.data
	}
	return src
}
