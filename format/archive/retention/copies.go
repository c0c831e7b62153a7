package retention

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/follow"
)

// copies are the files that have the same patch as another one.
type copies map[*archive.Patch][]*archive.Patch

func copiesIn(files []archive.File) copies {
	c := make(copies)
	for _, f := range files {
		if f.Status == archive.Copy && f.Same != nil && f.Copy != nil {
			c[f.Same] = append(c[f.Same], f.Copy)
		}
	}
	return c
}

// of are the copies of what a step removes or replaces.
func (c copies) of(s Step) (all []*archive.Patch) {
	for _, p := range s.Remove {
		all = append(all, c[p]...)
	}
	if n := len(s.Merge); n > 0 {
		all = append(all, c[s.Merge[n-1]]...)
	}
	return all
}

// fixed says why the file of a patch must stay as it is; empty: it may go. Of what is in another
// folder nothing is known, nor whether a link among its copies leads to it.
func (c copies) fixed(p *archive.Patch) string {
	if p.Link {
		return "a symbolic link"
	}
	for _, other := range c[p] {
		if other.Link {
			return fmt.Sprintf("the symbolic link %s may lead to it", other.Path)
		}
	}
	return ""
}

// inMerged tells of each patch that others were merged of which patch has it.
func inMerged(v *archive.Volume) map[uuid.UUID]*archive.Patch {
	in := make(map[uuid.UUID]*archive.Patch)
	for _, c := range v.Chains {
		for _, p := range c.Patches {
			if p.Header.Merged == nil {
				continue
			}
			for _, id := range p.Header.Merged.Patches {
				in[id] = p
			}
		}
	}
	return in
}

// merged tells whether a chain can't be restored, and needn't be: patches that begin with full ones
// have all of it.
func merged(c archive.Chain, in map[uuid.UUID]*archive.Patch) bool {
	if c.First().Header.Kind == format.Full {
		return false
	}
	for _, p := range c.Patches {
		if by := in[p.Header.ID]; by == nil || !by.Restorable() {
			return false
		}
	}
	return true
}

// Same tells whether two patches lead to one state as one dump has read it: one was merged of the
// other, as the last, or both of a third.
func Same(a, b *archive.Patch) bool {
	return slices.ContainsFunc(dumps(a), func(id uuid.UUID) bool {
		return slices.Contains(dumps(b), id)
	})
}

// dumps are the ids of the patches that led to the state first, and of what was merged of them.
func dumps(p *archive.Patch) []uuid.UUID {
	s := follow.StateOf(p.Header)
	ids := append([]uuid.UUID{p.Header.ID}, s.Patches...)
	if s.Patch != uuid.Nil {
		ids = append(ids, s.Patch)
	}
	return ids
}
