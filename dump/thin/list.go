package thin

import (
	"context"
	"errors"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/dump/thin/metadata"
	"lvmsync/format"
)

// list asks the pool what to send.
func (c *Changes) list(ctx context.Context) (err error) {
	if c.old != nil && c.old.target.Pool != c.new.target.Pool {
		return fmt.Errorf("%s and %s: %w", c.old.name, c.new.name, ErrOtherPool)
	}
	if c.pool, err = openPool(ctx, c.new.target.Pool); err != nil {
		return err
	}
	err = c.ask(ctx)
	if c.old == nil && (errors.Is(err, ErrHeld) || errors.Is(err, ErrPool)) {
		return c.listWhole(err)
	}
	return err
}

// ask flushes the volumes, then reads the pool's metadata. What else it has to know it asks for
// before.
func (c *Changes) ask(ctx context.Context) error {
	if _, err := c.pool.status(ctx); err != nil {
		return err // tells more than what fails because of it
	}
	if err := c.askNotes(ctx); err != nil {
		return err
	}
	if err := c.inputs().Flush(); err != nil {
		return err
	}
	return c.pool.read(ctx, func(m *metadata.Metadata) error {
		if c.old == nil {
			return c.listAll(ctx, m)
		}
		return c.listChanges(ctx, m)
	})
}

// listWhole lists all of the volume, because the pool can't be asked.
func (c *Changes) listWhole(why error) error {
	c.unasked, c.sent.left = why, why
	if len(c.info.Snapshots) > 0 {
		c.info.Snapshots = nil // nothing is noted for them
	}
	if err := c.inputs().Flush(); err != nil {
		return err
	}
	c.plan(c.all(), roaring64.New())
	return nil
}

// listAll lists what the volume maps. The rest reads as zeros, or from outside the pool.
func (c *Changes) listAll(ctx context.Context, m *metadata.Metadata) error {
	mapped, err := m.Mapped(ctx, c.new.target.ID)
	if err != nil {
		return err
	}
	c.plan(mapped, roaring64.AndNot(c.all(), mapped))
	return c.compareSnapshots(ctx, m)
}

// listChanges lists what the volumes map differently. What neither maps is listed where it isn't
// read from the same place. What the new one has past the end of the old one is sent whatever it
// is: the destination may hold anything there.
func (c *Changes) listChanges(ctx context.Context, m *metadata.Metadata) error {
	d, err := c.compare(ctx, m)
	if err != nil {
		return err
	}
	whole, apart := roaring64.New(), roaring64.New()
	if from, to := c.old.file.Size(), c.new.file.Size(); from < to {
		whole.AddRange(uint64(from/c.pool.blockSize()), c.blocks(to))
	}
	again, err := c.sendAgain(ctx, m)
	if err != nil {
		return err
	}
	whole.Or(again)
	apart.AddRange(0, c.blocks(differUpTo(c.old.beneath, c.new.beneath)))
	if c.written { // and may have been discarded from
		apart = c.all()
	}
	if all := roaring64.Or(whole, apart); !all.IsEmpty() {
		mapped, err := m.MappedOf(ctx, c.new.target.ID, all)
		if err != nil {
			return err
		}
		d.Mapped.Or(roaring64.And(mapped, whole))
		d.Unmapped.Or(roaring64.AndNot(all, mapped))
	}
	c.plan(d.Mapped, d.Unmapped)
	return nil
}

// all is all blocks of the volume.
func (c *Changes) all() *roaring64.Bitmap {
	all := roaring64.New()
	all.AddRange(0, c.blocks(c.new.file.Size()))
	return all
}

// blocks is how many of the pool's blocks a size in bytes takes.
func (c *Changes) blocks(size int64) uint64 {
	return uint64((size + c.pool.blockSize() - 1) / c.pool.blockSize())
}

// plan clips what to send to the volume and counts it: what is mapped is data, what isn't is zeros,
// or data from beneath.
func (c *Changes) plan(data, unmapped *roaring64.Bitmap) {
	inside := c.blocks(c.new.file.Size())
	for _, set := range []*roaring64.Bitmap{data, unmapped} {
		if !set.IsEmpty() && set.Maximum() >= inside {
			set.RemoveRange(inside, set.Maximum()+1)
		}
	}
	covered := roaring64.New()
	covered.AddRange(0, c.blocks(c.new.beneath.size()))
	c.data = roaring64.Or(data, roaring64.And(unmapped, covered))
	c.zero = roaring64.AndNot(unmapped, covered)
	c.planned = format.Planned{}
	for e := range c.extents() {
		c.planned.Extents++
		c.planned.Bytes += e.Len
	}
}
