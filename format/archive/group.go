package archive

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"lvmsync/format/follow"
)

// leaveOutCopies sorts the patches and keeps the first file of each.
func (a *Archive) leaveOutCopies(patches []*Patch) []*Patch {
	patches = slices.Clone(patches)
	slices.SortStableFunc(patches, compare)
	first := make(map[uuid.UUID]*Patch)
	return slices.DeleteFunc(patches, func(p *Patch) bool {
		id := p.Header.ID
		other, ok := first[id]
		if !ok {
			first[id] = p
			return false
		}
		err := fmt.Errorf("the same patch as %s", other.Path)
		if other.Path == p.Path {
			err = errors.New("it was named twice")
		} else if other.Size != p.Size || other.Totals != p.Totals || other.NoEnd != p.NoEnd {
			err = fmt.Errorf("it has the id of %s, and is another one", other.Path)
		}
		a.Files = append(a.Files, File{Path: p.Path, Status: Copy, Err: err})
		return true
	})
}

// byVolume puts together what has a name in common: of the volume, or of a state of it.
func byVolume(patches []*Patch) (groups [][]*Patch) {
	parent := make([]int, len(patches))
	top := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	by := make(map[string]int)
	for i, p := range patches {
		parent[i] = i
		names := append(follow.Leads(p.Header), follow.Starts(p.Header)...)
		for _, name := range append(names, follow.Volume(p.Header)) {
			if other, ok := by[name]; ok {
				x, y := top(i), top(other)
				parent[max(x, y)] = min(x, y)
			} else {
				by[name] = i
			}
		}
	}
	at := make(map[int]int)
	for i, p := range patches {
		g, ok := at[top(i)]
		if !ok {
			g = len(groups)
			at[top(i)] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], p)
	}
	return groups
}
