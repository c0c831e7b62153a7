package metadata

import "context"

// details are what a pool notes of a volume as a whole (struct disk_device_details). Its times
// count the snapshots that have been made in the pool: a snapshot gets the next one, and a block
// that is mapped gets that of the last one. So a block that a snapshot got before it was made has
// an earlier time than the snapshot, and one that was written in it has not.
type details struct {
	created     uint32
	snapshotted uint32 // when the last snapshot of it was made; if there is none, it is created
}

// maxTime is the first time for which there is no room in a mapping: the kernel writes it all the
// same, over the block's number.
const maxTime = 1 << timeBits

// details finds those of a volume. They are not to be trusted where they can't be the kernel's: it
// counts from 1, and metadata that were put together from something else may have any.
func (m *Metadata) details(ctx context.Context, id uint32) (d details, trusted bool, err error) {
	times, err := m.find(ctx, m.super.detailsRoot, id, detailsValue)
	d = details{created: uint32(times), snapshotted: uint32(times >> 32)}
	return d, m.super.time < maxTime && d.created <= d.snapshotted &&
		d.snapshotted <= m.super.time, err
}

// Created is when a volume was made, as the pool counts. Ids of volumes that are gone are given
// again, with a later one.
func (m *Metadata) Created(ctx context.Context, id uint32) (uint32, error) {
	d, _, err := m.details(ctx, id)
	return d.created, err
}

// MayDescend tells whether a volume may be a snapshot of another one, of a snapshot of that, and so
// on. That it isn't is sure.
func (m *Metadata) MayDescend(ctx context.Context, id, ancestor uint32) (bool, error) {
	young, trustYoung, err := m.details(ctx, id)
	if err != nil {
		return false, err
	}
	old, trustOld, err := m.details(ctx, ancestor)
	if err != nil {
		return false, err
	}
	if !trustYoung || !trustOld || old.created == 0 {
		return true, nil
	}
	return old.snapshotted > old.created && young.created > old.created, nil
}

// DiffEver finds the difference of a volume to all that a snapshot may have held since it was made,
// where the volume may descend from it: what was written in the snapshot is mapped alike by both
// then. What was discarded there, and is mapped by neither, can't be found. It reads all that
// either has.
func (m *Metadata) DiffEver(ctx context.Context, snapshot, new uint32) (*Difference, error) {
	old, trusted, err := m.details(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	since := uint64(old.created)
	if !trusted {
		since = 0
	}
	return m.compare(ctx, snapshot, new, &written{since: since})
}

// written collects what was mapped since a time. For want of one, nothing is asked for.
type written struct {
	since  uint64
	shared []level // subtrees that both trees have
}

// keep has subtrees that both trees have looked at later.
func (w *written) keep(shared []subtree, l *level) {
	if w != nil && len(shared) > 0 {
		w.shared = append(w.shared, level{subtrees: shared, depth: l.depth, height: l.height})
	}
}

// is tells whether a mapping is of that time, or later.
func (w *written) is(c *leafCursor) bool { return w != nil && c.time >= w.since }

// searchShared looks at what was kept.
func (m *Metadata) searchShared(ctx context.Context, w *written, d *Difference) error {
	for _, l := range w.shared {
		for l.height > 0 {
			if err := m.descend(ctx, &l); err != nil {
				return err
			}
		}
		c := &leafCursor{m: m, level: &l}
		for {
			if err := c.next(ctx); err != nil {
				return err
			}
			if c.end {
				break
			}
			if w.is(c) {
				d.Mapped.Add(c.block)
				d.Written = true
			}
		}
	}
	return nil
}
