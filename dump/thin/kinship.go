package thin

import (
	"context"

	"lvmsync/dump/thin/metadata"
)

// A base that is named as a snapshot is whatever that has held since it was made: a copy of it, or
// a patch that led to it, may be older than what was written to it since. What a volume that stems
// from it has of that is mapped alike by both.

// compare asks what has changed from the old volume to the new one: from what the old one holds
// now, or from all that it may have held under its name.
func (c *Changes) compare(ctx context.Context, m *metadata.Metadata) (*metadata.Difference, error) {
	old, new := c.old.target.ID, c.new.target.ID
	may := c.base.Snapshot != ""
	var err error
	if may {
		may, err = m.MayDescend(ctx, new, old)
	}
	if may && err == nil {
		may, err = c.mayDescend()
	}
	if err != nil {
		return nil, err
	}
	if !may {
		return m.Diff(ctx, old, new)
	}
	d, err := m.DiffEver(ctx, old, new)
	if err == nil {
		c.written = d.Written
	}
	return d, err
}

// mayDescend tells whether the new volume may stem from the old one as far as LVM knows. A volume
// is made of one other, and the old one of its origin: so it doesn't where the way up from it leads
// to that past the old one.
func (c *Changes) mayDescend() (bool, error) {
	if c.new.lv == nil {
		return true, nil
	}
	if c.sent.unasked != nil {
		return false, c.sent.unasked
	}
	origins := make(map[string]string)
	for _, v := range c.sent.group {
		origins[v.UUID] = v.OriginUUID
	}
	passed := make(map[string]bool)
	for uuid := c.new.lv.UUID; uuid != c.old.lv.OriginUUID; uuid = origins[uuid] {
		if uuid == c.old.lv.UUID || origins[uuid] == "" || passed[uuid] {
			return true, nil // or it was removed just now
		}
		passed[uuid] = true
	}
	return false, nil
}

// BaseWritten tells whether the snapshot that is the base has been written to since it was made,
// and what is sent stems from that: all that may have been changed in it is sent then, as nobody
// knows what of it the destination has.
func (c *Changes) BaseWritten() bool { return c.written }
