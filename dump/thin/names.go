package thin

import (
	"context"

	"lvmsync/dump"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
	"lvmsync/format/storage"
)

// That a thin volume has an origin doesn't tell what it is: a snapshot that keeps a state of the
// origin, or a clone, a volume of its own that was made of a template. Here is what a header says
// of either.

// isSnapshot tells whether the volume was made as a snapshot of another one of its pool, for either
// purpose. What LVM calls its origin may also be an external one.
func (v *volume) isSnapshot() bool {
	return v.lv != nil && v.lv.Origin != "" && !v.beneath.isLV(v.lv.VGUUID, v.lv.OriginUUID)
}

// atRest tells whether nobody could write to the volume when it was opened: it had no device but
// for our own sake.
func (v *volume) atRest() bool {
	return v.lv != nil && v.beneath.still && (v.lv.ReadOnly() || v.deactivate != nil && v.unused())
}

// unused tells whether nobody does.
func (v *volume) unused() bool { return v.beneath.still && !storage.MayBeWritten(v.file.ID()) }

// describe fills in what the patch's header says of its source: lv is that volume, or the snapshot
// of it, as add has it.
func (c *Changes) describe(ctx context.Context, lv *devmapper.LogicalVolume,
	add func(context.Context, *format.Source, devmapper.LogicalVolume)) {
	c.info = dump.DescribeSource(c.new.file.Name(), c.new.file.ID())
	c.info.Type = "thin"
	if lv != nil {
		add(ctx, &c.info, *lv)
	}
}

// describeFull names what was given as a volume. If it may be a snapshot, and stands still, it is
// that, too: a delta from it then follows, and so does one of a snapshot of it.
func (c *Changes) describeFull(ctx context.Context) {
	if !c.new.isSnapshot() || !c.new.atRest() {
		c.describe(ctx, c.new.lv, dump.AddVolume)
		return
	}
	c.describe(ctx, c.new.lv, dump.AddSnapshot)
	c.state = nameState(c.new)
}

// describeTo names both volumes. Only of two in the life of one origin it is known that the first
// has what that held once: a patch then holds all that was written since. Of others, it leads from
// the very volume that was named, and is about that. What is no snapshot is no base with a name.
func (c *Changes) describeTo(ctx context.Context) {
	from, to := c.old, c.new
	c.base = &format.Base{}
	switch {
	case !from.isSnapshot():
		c.describe(ctx, from.lv, dump.AddVolume)
	case to.lv != nil && (to.lv.UUID == from.lv.OriginUUID ||
		to.isSnapshot() && to.lv.OriginUUID == from.lv.OriginUUID):
		c.describe(ctx, from.lv, dump.AddSnapshot)
		c.base.SnapshotCreated = from.lv.Created
	default:
		c.describe(ctx, from.lv, dump.AddVolume)
		c.info.Snapshot, c.info.SnapshotUUID = from.lv.Name, from.lv.UUID
	}
	if from.isSnapshot() {
		c.base.Snapshot = from.lv.UUID
	}
	c.state = namedState(to)
}

// namedState is what the volume is after a patch that leads to v, which the user named as a
// snapshot: nothing with a name if it is in use.
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
