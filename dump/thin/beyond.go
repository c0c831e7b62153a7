package thin

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin/metadata"
)

// compareSnapshots finds what a dump of the volume alone may bring that differs from its snapshots:
// patches from them can't tell any more once it is discarded. What it maps that they don't is so
// whatever it's written over with; of what it maps as they do, see [note].Full.
func (c *Changes) compareSnapshots(ctx context.Context, m *metadata.Metadata) error {
	c.sent.beyond, c.sent.left = make(map[string]*note), errors.Join(c.sent.unasked, c.sent.mute)
	if c.new.lv == nil || c.sent.left != nil {
		return nil
	}
	own, err := c.new.ofLVM(ctx, m)
	if err != nil {
		c.sent.left = fmt.Errorf("ask when thin volume %d was made: %w", c.new.target.ID, err)
		return ctx.Err() // what it maps is right all the same
	}
	for _, v := range c.sent.group {
		id, err := strconv.ParseUint(v.ThinID, 10, 24)
		if err != nil || !c.isOrigin(v) &&
			(v.OriginUUID != c.new.lv.UUID || c.sent.reading == nil) {
			continue
		}
		if err := c.compareWith(ctx, m, v, uint32(id), own); err != nil {
			return err
		}
	}
	return nil
}

// isOrigin tells whether the volume is a snapshot of v.
func (c *Changes) isOrigin(v devmapper.VolumeID) bool {
	return c.new.isSnapshot() && v.UUID == c.new.lv.OriginUUID
}

// compareWith does so with one of the snapshots, or with the origin of what is one itself.
func (c *Changes) compareWith(ctx context.Context, m *metadata.Metadata, v devmapper.VolumeID, id uint32,
	own thinVolume) error {
	d, err := m.Diff(ctx, id, c.new.target.ID)
	var created uint32
	if err == nil {
		created, err = m.Created(ctx, id)
	}
	switch {
	case errors.Is(err, metadata.ErrNoVolume):
		return nil // in another pool, or made after the metadata were held
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil: // damage that only that one has
		err = fmt.Errorf("compare with thin volume %d: %w", id, err)
		c.sent.left = errors.Join(c.sent.left, err)
		return nil
	}
	n := &note{Group: v.VGUUID, blocks: d.Mapped}
	key, snapshot, unmapped := v.UUID, id, true
	if c.isOrigin(v) { // what it has of its own, and may discard
		n.Name = noteNameOf(own.UUID, own.ThinID, own.Created)
		key, snapshot = c.new.lv.UUID, own.ThinID
		unmapped = c.sent.compare && c.sent.reading != nil
	} else {
		n.Name, n.Full = noteNameOf(v.UUID, id, created), []thinVolume{own}
	}
	if unmapped {
		if err := c.addUnmapped(ctx, m, n.blocks, d, snapshot); err != nil {
			return err
		}
	}
	c.sent.beyond[key] = n
	return nil
}

// addUnmapped adds to the blocks what is sent of those that the volume doesn't map: zeros, and
// whatever may be written there before it is read, where that isn't left to the list.
func (c *Changes) addUnmapped(ctx context.Context, m *metadata.Metadata, blocks *roaring64.Bitmap,
	d *metadata.Difference, snapshot uint32) error {
	blocks.Or(d.Unmapped)
	if c.sent.compare {
		free := c.all()
		mapped, err := m.Mapped(ctx, snapshot)
		if err != nil {
			return err
		}
		free.AndNot(mapped)
		blocks.Or(free)
		return nil
	}
	if c.new.beneath.size() > 0 {
		mapped, err := m.Mapped(ctx, c.new.target.ID)
		if err != nil {
			return err
		}
		blocks.Or(roaring64.AndNot(c.data, mapped))
	}
	return nil
}
