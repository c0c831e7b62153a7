package archive

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/follow"
)

// ErrAnother is about a file that has the id of a patch and something else in it.
var ErrAnother = errors.New("is another one")

// Add adds files that are no patches to build upon, and finds out of which the same patch is there
// all the same.
func (a *Archive) Add(files ...File) {
	known := make(map[uuid.UUID]*Patch)
	sums := make(map[uint64]*Patch)
	for _, v := range a.Volumes {
		for _, p := range v.patches() {
			known[p.Header.ID] = p
			sums[p.sum] = p
		}
	}
	for _, f := range files {
		switch {
		case f.Status != Damaged && f.Status != Truncated:
		case f.Header != nil:
			if p := known[f.Header.ID]; p != nil && !p.NoEnd && (f.sum == 0 || f.sum == p.sum) {
				f.Same = p
			}
		case f.sum != 0: // then it was that before its header was damaged
			f.Same = sums[f.sum]
		}
		a.Files = append(a.Files, f)
	}
	slices.SortStableFunc(a.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
}

// patches are all of the volume.
func (v *Volume) patches() (all []*Patch) {
	for _, c := range v.Chains {
		all = append(all, c.Patches...)
	}
	return append(all, v.Undo...)
}

// leaveOutCopies sorts the patches and keeps one file of each, which is no link if there is
// another one.
func (a *Archive) leaveOutCopies(patches []*Patch) []*Patch {
	patches = slices.Clone(patches)
	slices.SortStableFunc(patches, compare)
	kept := make(map[uuid.UUID]*Patch)
	for _, p := range patches {
		p.copies = nil
		if k := kept[p.Header.ID]; k == nil || k.Link && !p.Link {
			kept[p.Header.ID] = p
		}
	}
	return slices.DeleteFunc(patches, func(p *Patch) bool {
		other := kept[p.Header.ID]
		if other == p {
			return false
		}
		f := File{Path: p.Path, Status: Copy, Header: &p.Header, Same: other,
			Copy: p}
		switch {
		case other.Path == p.Path:
			f.Err, f.Copy = errors.New("it was named twice"), nil
		case other.Size != p.Size || other.sum != p.sum || other.NoEnd != p.NoEnd:
			f.Err = fmt.Errorf("it has the id of %s, and %w", other.Path, ErrAnother)
			f.Same, f.Copy = nil, nil
		default:
			f.Err = fmt.Errorf("the same patch as %s", other.Path)
			other.copies = append(other.copies, p.Path)
		}
		a.Files = append(a.Files, f)
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
		for _, name := range namesOf(p.Header) {
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

// namesOf are the names by which patches are put together.
func namesOf(h format.Header) []string {
	names := append(follow.Leads(h), follow.Starts(h)...)
	return append(names, follow.Volume(h))
}

// Has tells whether a patch with that header would be put together with those of the volume.
func (v *Volume) Has(h format.Header) bool {
	names := make(map[string]bool)
	for _, name := range namesOf(h) {
		names[name] = true
	}
	has := func(p *Patch) bool {
		return slices.ContainsFunc(namesOf(p.Header), func(name string) bool { return names[name] })
	}
	return slices.ContainsFunc(v.Undo, has) || slices.ContainsFunc(v.Chains, func(c Chain) bool {
		return slices.ContainsFunc(c.Patches, has)
	})
}
