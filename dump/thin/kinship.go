package thin

import (
	"context"
	"errors"

	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin/metadata"
)

// A base that is named as a snapshot is whatever that has held since it was made: a copy of it, or a patch that led to it, may be older
// than what was written to it since. What a volume that stems from it has of that is mapped alike by both.

// compare asks what has changed from the old volume to the new one: from what the old one holds now, or from all that it may have
// held under its name.
func (s *Source) compare(ctx context.Context, m *metadata.Metadata) (*metadata.Difference, error) {
	old, new := s.old.target.ID, s.new.target.ID
	may := s.base.Snapshot != ""
	var err error
	if may {
		may, err = m.MayDescend(ctx, new, old)
	}
	if may && err == nil {
		may, err = s.mayDescend(ctx)
	}
	if err != nil {
		return nil, err
	}
	if !may {
		return m.Diff(ctx, old, new)
	}
	d, err := m.DiffEver(ctx, old, new)
	if err == nil {
		s.written = d.Written
	}
	return d, err
}

// mayDescend tells whether the new volume may stem from the old one as far as LVM knows. A volume is made of one other, and the old
// one of its origin: so it doesn't where the way up from it leads to that past the old one.
func (s *Source) mayDescend(ctx context.Context) (bool, error) {
	if s.new.lv == nil {
		return true, nil
	}
	lv, passed := *s.new.lv, make(map[string]bool)
	for lv.UUID != s.old.lv.OriginUUID {
		if lv.UUID == s.old.lv.UUID || lv.Origin == "" || passed[lv.UUID] {
			return true, nil
		}
		passed[lv.UUID] = true
		up, err := devmapper.LV(ctx, lv.VG, lv.Origin)
		if errors.Is(err, devmapper.ErrNoLV) || err == nil && up.UUID != lv.OriginUUID {
			return true, nil // it was removed or renamed just now
		}
		if err != nil {
			return false, err
		}
		lv = up
	}
	return false, nil
}

// BaseWritten tells whether the snapshot that is the base has been written to since it was made, and what is sent stems from that: all
// that may have been changed in it is sent then, as nobody knows what of it the destination has.
func (s *Source) BaseWritten() bool { return s.written }
