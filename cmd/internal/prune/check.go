package prune

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"lvmsync/apply"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/archive/retention"
	"lvmsync/format/durable"
	"lvmsync/format/follow"
)

// mayRemove makes sure that all kept states can be restored without what a step removes, and says
// which files that takes: it asks the headers that are left, as whoever restores does. If a patch
// goes since another one leads to the same state, which is kept or on the way to one that is, that
// is read to its end; so is the next full patch before one goes. What is left is durable then.
func (r *runner) mayRemove(ctx context.Context, step retention.Step) (needed, error) {
	ways, err := r.without(step.Remove, nil)
	if err != nil {
		return nil, fmt.Errorf("nothing is removed: %w", err)
	}
	byState := make(map[string][]*archive.Patch)
	for _, q := range ways {
		byState[q.State()] = append(byState[q.State()], q)
	}
	for _, p := range step.Remove {
		if err := r.mayReplace(ctx, p, byState[p.State()]); err != nil {
			return nil, err
		}
	}
	if err := r.mayRemoveFull(ctx, step.Remove, ways); err != nil {
		return nil, err
	}
	if err := r.flush(ways); err != nil {
		return nil, err
	}
	return r.needed, r.needed.add(ctx, ways)
}

// mayReplace makes sure that one of the other ways to the state of a patch, unless there is none, is
// as good: one that was merged of it if there is one.
func (r *runner) mayReplace(ctx context.Context, p *archive.Patch, ways []*archive.Patch) error {
	if len(ways) == 0 {
		return nil
	}
	way := ways[0]
	for _, q := range ways[1:] {
		if better(p, q, way) {
			way = q
		}
	}
	if r.keeps(p.State()) && way.Losses() > p.Losses() {
		return fmt.Errorf("%s stays, for %s, which leads to the same state, has lost sectors",
			p.Path, way.Path)
	}
	for _, q := range way.Chain() {
		if err := r.verify(ctx, q); err != nil {
			return fmt.Errorf("%s stays, for what leads to the same state is not right: %s: %w",
				p.Path, q.Path, err)
		}
	}
	return nil
}

// better tells which of two ways is more like that of a patch, or else the one to take.
func better(p, a, b *archive.Patch) bool {
	if x := retention.Same(p, a); x != retention.Same(p, b) {
		return x
	}
	return a.CompareWay(b) < 0
}

// keeps tells whether a state is kept, which is more than to be needed for one that is.
func (r *runner) keeps(state string) bool {
	return slices.ContainsFunc(r.kept, func(k retention.Kept) bool { return k.State() == state })
}

// mayRemoveFull makes sure that before a full patch goes the next one, or else the last, is whole,
// if one is left: nothing else may ever have read it.
func (r *runner) mayRemoveFull(ctx context.Context, gone []*archive.Patch,
	ways map[string]*archive.Patch) error {
	var left []*archive.Patch
	for _, way := range ways {
		if way.Restorable() {
			left = append(left, way.First())
		}
	}
	if len(left) == 0 {
		return nil
	}
	slices.SortFunc(left, func(a, b *archive.Patch) int { return a.Time().Compare(b.Time()) })
	for _, p := range gone {
		if p.Header.Kind != format.Full {
			continue
		}
		next := left[len(left)-1]
		if i := slices.IndexFunc(left, func(q *archive.Patch) bool {
			return q.Time().After(p.Time())
		}); i >= 0 {
			next = left[i]
		}
		if err := r.verify(ctx, next); err != nil {
			return fmt.Errorf("%s stays, for the next full patch is not right: %s: %w", p.Path,
				next.Path, err)
		}
	}
	return nil
}

// without finds the patches that lead to kept states, and all on the way there, by their paths, once
// others are gone, and made, unless it is nil, has taken its place.
func (r *runner) without(gone []*archive.Patch, made *archive.Patch) (
	map[string]*archive.Patch, error,
) {
	var left []*archive.Patch
	for path, p := range r.now {
		if made != nil && path == made.Path {
			p = made
		}
		if !slices.ContainsFunc(gone, func(q *archive.Patch) bool { return q.Path == path }) {
			copied := *p // what follows what is told anew
			left = append(left, &copied)
		}
	}
	found := make(map[string]*archive.Patch)
	for _, v := range archive.New(left).Volumes {
		for _, c := range v.Chains {
			for _, p := range c.Patches {
				found[p.Path] = p
			}
		}
	}
	ways := make(map[string]*archive.Patch)
	for _, k := range r.kept {
		p := found[k.Path]
		if p == nil || p.State() != k.State() || !startsAs(p, k.Patch) ||
			p.InDoubt() && !k.InDoubt() {
			return nil, fmt.Errorf("the state of %s would need it", k.Path)
		}
		for _, q := range p.Chain() {
			ways[q.Path] = q
		}
	}
	return ways, nil
}

// startsAs tells whether the way to a state needs no more than it did when that was planned: if it
// began with a full patch it still does, else it still starts from the same.
func startsAs(p, planned *archive.Patch) bool {
	if planned.Restorable() || p.Restorable() {
		return planned.Restorable() && p.Restorable()
	}
	x, y := p.First().Header, planned.First().Header
	starts := follow.Starts(x)
	return slices.Equal(starts, follow.Starts(y)) && (len(starts) > 0 || x.ID == y.ID ||
		x.Merged != nil && slices.Contains(x.Merged.Patches, y.ID))
}

// verify reads a patch to its end, unless that was done before.
func (r *runner) verify(ctx context.Context, p *archive.Patch) error {
	if r.checked[p.Path] {
		return nil
	}
	f, err := os.Open(p.Path)
	if err != nil {
		return durable.Cause(err)
	}
	defer f.Close()
	r.done.Read += p.Size
	v, err := apply.Read(ctx, apply.Patch{Name: p.Path, Reader: patchfile.Reader(ctx, f)},
		apply.ReadOptions{Warn: func(string) {}, Progress: r.Progress}, func(*format.Segment) {})
	if err == nil && (v.Header.ID != p.Header.ID || v.Totals != p.Totals) {
		err = errors.New("it changed while it was read")
	}
	r.checked[p.Path] = err == nil
	return err
}
