package thin

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin/metadata"
)

// askNotes finds out what the notes tell, and LVM, which is not asked while the pool is locked.
func (c *Changes) askNotes(ctx context.Context) error {
	v := c.new
	if c.kept != nil {
		v = c.kept
	}
	if c.sent.group, c.sent.unasked = nil, nil; v.lv != nil {
		c.sent.group, c.sent.unasked = devmapper.Volumes(ctx, v.lv.VG)
	}
	if c.kept == nil {
		return nil
	}
	c.sent.notes, c.sent.hidden = notesOf(c.kept)
	return c.checkRunning()
}

// findBefore finds which note is the base's, as it was before the pool was asked: none that came
// later names a dump that may be running.
func (c *Changes) findBefore(ctx context.Context, m *metadata.Metadata) error {
	created, err := m.Created(ctx, c.kept.target.ID)
	if err != nil {
		return err
	}
	if c.sent.reached = ""; c.new != c.kept && c.new.isSnapshot() {
		to, err := c.new.ofLVM(ctx, m)
		if err != nil {
			return err
		}
		c.sent.reached = noteNameOf(to.UUID, to.ThinID, to.Created)
	}
	name, err := noteName(c.kept, created)
	c.sent.unnamed, c.sent.unknown = err != nil, err
	switch n, ok := c.sent.notes[name]; {
	case c.sent.unnamed:
		c.sent.before = &note{Everything: true}
	case c.sent.hidden != nil:
		c.sent.before, err = findNote(name)
		c.sent.before.Everything, c.sent.unknown = true, cmp.Or(err, c.sent.hidden)
	case !ok:
		c.sent.before = newNote(name)
	default:
		c.sent.before, c.sent.unknown = n.note, n.err
	}
	if c.sent.before.Everything && c.sent.unknown == nil {
		c.sent.unknown = errors.New("what was noted of it had been damaged")
	}
	return nil
}

// checkRunning makes sure that no volume in use is just being read that the base is a snapshot of,
// or was. A patch to that volume is right where it's applied to what was there before, so it's
// made, but isn't said to follow what is just read.
func (c *Changes) checkRunning() error {
	lv := c.kept.lv
	if lv == nil {
		return nil
	}
	c.sent.amid = false
	read := []thinVolume{{Name: lv.VG + "/" + lv.Origin, UUID: lv.OriginUUID}}
	for _, n := range c.sent.notes {
		read = append(read, n.Full...)
	}
	for _, x := range read {
		runs, err := isRunning(x.UUID)
		switch {
		case err != nil:
			return err
		case runs && c.new.lv != nil && x.UUID == c.new.lv.UUID:
			c.sent.amid = true
		case runs:
			return fmt.Errorf("%s: %w: it reads %s", c.kept.name, ErrFullRuns, x.Name)
		}
	}
	return nil
}
