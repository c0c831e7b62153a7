package thin

import (
	"context"

	"lvmsync/dump"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
	"lvmsync/format/storage"
)

// That a thin volume has an origin doesn't tell what it is: a snapshot that keeps a state of the origin, or a clone, a volume of
// its own that was made of a template. Here is what a header says of either.

// isSnapshot tells whether the volume was made as a snapshot of another one of its pool, for either purpose. What LVM calls
// its origin may also be an external one.
func (v *volume) isSnapshot() bool {
	return v.lv != nil && v.lv.Origin != "" && !v.beneath.isLV(v.lv.VGUUID, v.lv.OriginUUID)
}

// atRest tells whether nobody could write to the volume when it was opened: it had no device but for our own sake.
func (v *volume) atRest() bool {
	return v.lv != nil && v.beneath.still && (v.lv.ReadOnly() || v.deactivate != nil && v.unused())
}

// unused tells whether nobody does.
func (v *volume) unused() bool { return v.beneath.still && !storage.MayBeWritten(v.file.ID()) }

// describe fills in what the patch's header says of its source: lv is that volume, or the snapshot of it, as add has it.
func (s *Source) describe(ctx context.Context, lv *devmapper.LogicalVolume,
	add func(context.Context, *format.Source, devmapper.LogicalVolume)) {
	s.info = dump.DescribeSource(s.new.file.Name(), s.new.file.ID())
	s.info.Type = "thin"
	if lv != nil {
		add(ctx, &s.info, *lv)
	}
}

// describeFull names what was given as a volume. If it may be a snapshot, and stands still, it is that, too: a delta from it
// then follows, and so does one of a snapshot of it.
func (s *Source) describeFull(ctx context.Context) {
	if !s.new.isSnapshot() || !s.new.atRest() {
		s.describe(ctx, s.new.lv, dump.AddVolume)
		return
	}
	s.describe(ctx, s.new.lv, dump.AddSnapshot)
	s.state = nameState(s.new)
}

// describeTo names both volumes. Only of two in the life of one origin it is known that the first has what that held once: a
// patch then holds all that was written since. Of others, it leads from the very volume that was named, and is about that. What
// is no snapshot is no base with a name.
func (s *Source) describeTo(ctx context.Context) {
	from, to := s.old, s.new
	s.base = &format.Base{}
	switch {
	case !from.isSnapshot():
		s.describe(ctx, from.lv, dump.AddVolume)
	case to.lv != nil && (to.lv.UUID == from.lv.OriginUUID || to.isSnapshot() && to.lv.OriginUUID == from.lv.OriginUUID):
		s.describe(ctx, from.lv, dump.AddSnapshot)
		s.base.SnapshotCreated = from.lv.Created
	default:
		s.describe(ctx, from.lv, dump.AddVolume)
		s.info.Snapshot, s.info.SnapshotUUID = from.lv.Name, from.lv.UUID
	}
	if from.isSnapshot() {
		s.base.Snapshot = from.lv.UUID
	}
	s.state = namedState(to)
}

// namedState is what the volume is after a patch that leads to v, which the user named as a snapshot: nothing with a name if it
// is in use.
func namedState(v *volume) *format.State {
	if v.isSnapshot() && (v.atRest() || v.unused()) {
		return nameState(v)
	}
	return nil
}

// nameState names a snapshot.
func nameState(v *volume) *format.State {
	return &format.State{Snapshot: v.lv.UUID, SnapshotCreated: v.lv.Created}
}
