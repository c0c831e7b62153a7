package thin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/google/uuid"

	"lvmsync/dump"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin/metadata"
	"lvmsync/format"
)

// A block that was written after the base was made, sent, and discarded before the next dump from
// that base is mapped by neither volume then: the pool has forgotten it, and the destination has
// not. So what is sent is noted before it leaves, and every later dump from the base sends it
// again, as whatever it is by then. So is what a dump of a volume in use sends, for its snapshots:
// what that reads may be as late as its end, but differs from them in the volume then, too, unless
// it was mapped otherwise before.

var (
	// ErrNotNoted means that what is sent could not be noted: what later is discarded of it stays
	// at the destination.
	ErrNotNoted = errors.New("it can't be noted what is sent")
	// ErrFullRuns means that it isn't known yet what a dump of a volume in use will have read.
	ErrFullRuns = errors.New("a dump of its volume in use has not ended")
)

// A sending is what a source makes of the notes.
type sending struct {
	group   []devmapper.VolumeID // the volumes of the volume's group, before the pool was asked
	unasked error                // why there are none
	notes   map[string]found     // what may be the base's, before the pool was asked
	hidden  error                // why they can't be looked for
	before  *note                // of the base: what was sent from it; nil if there is no base
	reached string               // name of the note of another snapshot that is reached
	unknown error                // why anything may have been
	unnamed bool                 // the base has no name for a note
	// amid means that the volume is just being read by another dump, whose end may have more than
	// this.
	amid bool

	reading *running         // of a volume in use that is read
	mute    error            // why that could not be begun
	compare bool             // all of the volume is read, and what is sent depends on that
	beyond  map[string]*note // by UUID: what to add for snapshots of the volume, or for itself
	left    error            // why that lacks some of them
}

// ofLVM names a volume of LVM's in notes; another one has no name there.
func (v *volume) ofLVM(ctx context.Context, m *metadata.Metadata) (thinVolume, error) {
	if v.lv == nil {
		return thinVolume{}, nil
	}
	created, err := m.Created(ctx, v.target.ID)
	return thinVolume{v.lv.VG + "/" + v.lv.Name, v.lv.UUID, v.target.ID, created}, err
}

// beginReading tells other runs that a volume is read which may be in use.
func (c *Changes) beginReading() {
	if c.new.lv != nil && !(c.new.isSnapshot() && c.new.atRest()) {
		c.sent.reading, c.sent.mute = beginRunning(c.new.lv.UUID)
	}
}

// endReading makes what was read of a volume in use outlive a power cut: the volume can't be
// compared later with what it lost then.
func (c *Changes) endReading() error {
	if c.sent.reading == nil {
		return nil
	}
	return c.inputs().Flush()
}

// sendAgain finds what earlier dumps from the base may have brought, to be sent again. If that
// isn't known, it is all of the volume.
func (c *Changes) sendAgain(ctx context.Context, m *metadata.Metadata) (*roaring64.Bitmap, error) {
	if err := c.findBefore(ctx, m); err != nil {
		return nil, err
	}
	before := c.sent.before
	if before.Everything {
		return c.all(), nil
	}
	var compared []thinVolume
	for _, v := range c.volumes() {
		x, err := v.ofLVM(ctx, m)
		if err != nil {
			return nil, err
		}
		compared = append(compared, x)
	}
	again := before.blocks.Clone()
	for _, x := range before.Full {
		if slices.ContainsFunc(compared, x.is) {
			continue
		}
		d, err := c.diffNow(ctx, m, x)
		if errors.Is(err, metadata.ErrNoVolume) {
			c.sent.unknown = fmt.Errorf("%s, of which a copy was made in use, is gone, or "+
				"was merged into", x.Name)
			if why := c.sent.unasked; why != nil {
				c.sent.unknown = fmt.Errorf("whether %s, of which a copy was made in use, is "+
					"still there: %w", x.Name, why)
			}
			return c.all(), nil
		}
		if err != nil {
			return nil, err
		}
		again.Or(d.Mapped)
		again.Or(d.Unmapped)
	}
	return again, nil
}

// diffNow finds how a volume differs from the base, if it is still what it was.
func (c *Changes) diffNow(ctx context.Context, m *metadata.Metadata,
	x thinVolume) (*metadata.Difference, error) {
	for _, v := range c.sent.group {
		if v.UUID == x.UUID && v.ThinID == strconv.Itoa(int(x.ThinID)) {
			if created, err := m.Created(ctx, x.ThinID); err != nil || created != x.Created {
				return nil, cmp.Or(err, metadata.ErrNoVolume)
			}
			return m.Diff(ctx, c.kept.target.ID, x.ThinID)
		}
	}
	return nil, metadata.ErrNoVolume
}

// NoteSent notes for later dumps from the same snapshot, or of a dump of the volume alone from its
// snapshots, what this one sends, and gives the source of just that; if another dump was quicker,
// the pool is asked again, and what the changes tell may be different: then again is called, unless
// it is nil, and its error ends that. No other source of the changes may be sent. An error that is
// [ErrNotNoted] means that this one can be, but that what is discarded from now on stays at the
// destination, unless that gets another full copy. With any other, nothing may be sent.
func (c *Changes) NoteSent(ctx context.Context, again func() error) (dump.Source, error) {
	c.info.Noted, c.info.NotedBefore = nil, nil
	id, left := uuid.New(), c.sent.left
	if c.kept == nil && c.info.Snapshots != nil && len(c.info.Snapshots) == 0 {
		left = nil // there is nothing to note it for
	}
	if c.kept == nil && c.new.lv == nil {
		left = errors.Join(left, fmt.Errorf("%s is not LVM's: which snapshots it has isn't known",
			c.new.name))
	}
	for uuid, add := range c.sent.beyond {
		add.Dumps = []noted{{ID: id}}
		if _, err := changeNote(ctx, add.Name, nil, add); err != nil {
			left = errors.Join(left, err)
			continue
		}
		c.addNoted(uuid, id)
	}
	if c.kept != nil && !c.sent.unnamed {
		unnoted, err := c.noteBase(ctx, id, again)
		if err != nil {
			return dump.Source{}, err
		}
		left = errors.Join(left, unnoted)
	}
	if (c.kept != nil || len(c.info.Noted) > 0) && c.sent.unasked == nil {
		tidyNotes(ctx, c.sent.group)
	}
	if len(c.info.Noted) > format.MaxSnapshots {
		c.info.Noted, c.info.NotedBefore = nil, nil
		left = errors.Join(left, fmt.Errorf("more than %d snapshots", format.MaxSnapshots))
	}
	if ctx.Err() != nil {
		return dump.Source{}, ctx.Err()
	}
	if left != nil {
		if c.kept == nil && c.info.Noted == nil {
			c.info.Snapshots = nil // before there were ids of notes, what was listed was noted
		}
		left = fmt.Errorf("%w: %w", ErrNotNoted, left)
	}
	return c.Source(), left
}

// noteBase notes what is sent in the note of the base. What it could not be noted for is one error,
// that it isn't known any more what to send is the other.
func (c *Changes) noteBase(ctx context.Context, id uuid.UUID,
	again func() error) (unnoted, err error) {
	for {
		before := c.sent.before
		add := &note{Name: before.Name, blocks: roaring64.Or(c.data, c.zero)}
		add.Dumps = []noted{{ID: id, Delta: true}}
		if c.kept.lv != nil {
			add.Group = c.kept.lv.VGUUID
		}
		done, err := changeNote(ctx, add.Name, before, add)
		if err != nil {
			return err, nil
		}
		if done {
			if c.kept.lv != nil && !c.sent.amid {
				if c.kept.isSnapshot() { // from a volume nothing follows by its note
					c.addNoted(c.kept.lv.UUID, id)
					c.info.NotedBefore = before.ids()
				}
				return c.noteReached(ctx, id), nil
			}
			return nil, nil
		}
		err = c.ask(ctx)
		if err == nil && again != nil {
			err = again()
		}
		if err != nil {
			return nil, err
		}
	}
}

// noteReached notes what is sent for the snapshot that the patch leads to, too, which may discard
// it.
func (c *Changes) noteReached(ctx context.Context, id uuid.UUID) error {
	if c.sent.reached == "" {
		return nil
	}
	add := &note{
		Group:  c.new.lv.VGUUID,
		Dumps:  []noted{{ID: id}},
		blocks: roaring64.Or(c.data, c.zero),
	}
	_, err := changeNote(ctx, c.sent.reached, nil, add)
	if err == nil {
		c.addNoted(c.new.lv.UUID, id)
	}
	return err
}

func (c *Changes) addNoted(snapshot string, id uuid.UUID) {
	if c.info.Noted == nil {
		c.info.Noted = make(map[string]uuid.UUID)
	}
	c.info.Noted[snapshot] = id
}

// SentUnknown is why it isn't known what earlier dumps from the same snapshot have sent; nil if it
// is. All of the volume is sent then.
func (c *Changes) SentUnknown() error { return c.sent.unknown }
