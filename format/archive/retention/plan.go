package retention

import (
	"cmp"
	"slices"
	"time"

	"lvmsync/format/archive"
)

// Options say what a [Plan] is made for.
type Options struct {
	Policy
	Now time.Time // in the zone whose days count
}

// A Plan is what becomes of an archive.
type Plan struct {
	Volumes []Volume
	Left    []Left // files that are no patches to build upon
}

// A Volume is what becomes of the patches of a volume, or of several that have patches in common:
// a template and its clones. The policy holds for each of those on its own.
type Volume struct {
	Name  string
	Kept  []Kept // by the times of their states
	Steps []Step // in this order
	Left  []Left // what is left alone though the rest isn't, or all of it
	// Alone says why nothing is done with the volume; nil: it is understood. A file that is not of
	// the volume has its question in Plan.Left as well.
	Alone []*AloneError
}

// A Kept is a patch whose state is kept.
type Kept struct {
	*archive.Patch
	Why []string
}

// A Step first makes one patch of several, then removes others. After each step, and whatever part
// of the removals is done, all kept states can be restored.
type Step struct {
	// Merge are patches that follow one another, two at least, or none. What is made of them takes
	// the place of the last, and may be the first of a later step.
	Merge []*archive.Patch
	// Copies are other files of patches that were merged or are removed. They go first.
	Copies []*archive.Patch
	// Remove are patches that no kept state needs then, each behind all that follow it.
	Remove []*archive.Patch
}

// A Left is a file that is left alone.
type Left struct{ Path, Why string }

// New plans what becomes of the archive. What the plan does not understand is left alone.
func New(a *archive.Archive, o Options) Plan {
	var p Plan
	goes := make(map[string]bool)
	for _, v := range a.Volumes {
		plan := o.volume(v, a.Files)
		p.Volumes = append(p.Volumes, plan)
		for _, s := range plan.Steps {
			for _, c := range s.Copies {
				goes[c.Path] = true
			}
		}
	}
	for _, f := range a.Files {
		if goes[f.Path] {
			continue
		}
		why := string(f.Status)
		if f.Err != nil {
			why += ": " + f.Err.Error()
		}
		p.Left = append(p.Left, Left{f.Path, why})
	}
	return p
}

// volume plans what becomes of a volume.
func (o Options) volume(v *archive.Volume, files []archive.File) Volume {
	plan := Volume{Name: v.Name}
	for _, p := range v.Undo {
		plan.Left = append(plan.Left, Left{p.Path, "an undo patch, which is in no chain"})
	}
	if len(v.Chains) == 0 {
		return plan
	}
	if plan.Alone = questions(v, files); len(plan.Alone) > 0 {
		plan.Left = append(plan.Left, alone(v, plan.Alone)...)
		return plan
	}
	t, left := newTree(v)
	c := copiesIn(files)
	o.keep(t, c)
	if plan.Alone = t.lossy(v); len(plan.Alone) > 0 {
		plan.Left = append(plan.Left, alone(v, plan.Alone)...)
		return plan
	}
	plan.Left = append(plan.Left, left...)
	for _, n := range t.nodes {
		if len(n.why) > 0 {
			plan.Kept = append(plan.Kept, Kept{n.Patch, n.why})
		}
	}
	slices.SortStableFunc(plan.Kept, func(a, b Kept) int { return a.Time().Compare(b.Time()) })
	plan.Steps = t.steps()
	for i, s := range plan.Steps {
		plan.Steps[i].Copies = c.of(s)
	}
	return plan
}

// steps are the merges first, so that nothing is gone if one fails: then what no state needs.
func (t *tree) steps() (steps []Step) {
	gone := make(map[*node]bool)
	for _, n := range t.nodes {
		if group := n.group(); len(group) > 1 {
			steps = append(steps, merges(group, gone)...)
		}
	}
	var rest []*node
	for _, n := range t.nodes {
		if !n.needed && !gone[n] {
			rest = append(rest, n)
		}
	}
	if len(rest) > 0 {
		steps = append(steps, Step{Remove: lastFirst(rest)})
	}
	return steps
}

// maxMerge is how many patches are merged at once: each is an open file, and takes memory.
const maxMerge = 64

// merges are the steps that make one patch of a group, in place of its last. If they are many,
// those between the first, which may be full, and the last become fewer before.
func merges(group []*node, gone map[*node]bool) (steps []Step) {
	for len(group) > maxMerge {
		last := len(group) - 1
		fewer := group[:1:1]
		for part := range slices.Chunk(group[1:last], maxMerge) {
			if len(part) > 1 {
				steps = append(steps, mergeStep(part, gone))
			}
			fewer = append(fewer, part[len(part)-1])
		}
		group = append(fewer, group[last])
	}
	return append(steps, mergeStep(group, gone))
}

// mergeStep merges patches, and removes what the last of them replaces.
func mergeStep(part []*node, gone map[*node]bool) Step {
	var remove []*node
	for _, n := range part[:len(part)-1] {
		remove = n.going(remove, gone)
	}
	return Step{Merge: patchesOf(part), Remove: lastFirst(remove)}
}

// lastFirst are the patches of nodes, each behind all that follow it.
func lastFirst(nodes []*node) []*archive.Patch {
	slices.SortStableFunc(nodes, func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.depth, a.depth), b.Time().Compare(a.Time()))
	})
	return patchesOf(nodes)
}

func patchesOf(nodes []*node) (patches []*archive.Patch) {
	for _, n := range nodes {
		patches = append(patches, n.Patch)
	}
	return patches
}
