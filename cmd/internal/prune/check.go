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

// mayRemove makes sure that all kept states can be restored without what a step removes: it asks
// the headers that are left, as whoever restores does. If a patch goes since another one leads to
// the same state, which is kept or on the way to one that is, that is read to its end; so is the
// full patch that is the oldest then, before an older one goes. What is left is durable then.
func (r *runner) mayRemove(ctx context.Context, step retention.Step) error {
	ways, err := r.without(step.Remove)
	if err != nil {
		return err
	}
	for _, p := range step.Remove {
		way := ways[p.State()]
		if way == nil {
			continue
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
	}
	if err := r.mayRemoveFull(ctx, step.Remove, ways); err != nil {
		return err
	}
	return r.flush(ways)
}

// keeps tells whether a state is kept, which is more than to be needed for one that is.
func (r *runner) keeps(state string) bool {
	return slices.ContainsFunc(r.kept, func(k retention.Kept) bool { return k.State() == state })
}

// mayRemoveFull makes sure that the oldest full patch that is left is whole, if an older one goes:
// nothing else may ever have read it.
func (r *runner) mayRemoveFull(ctx context.Context, gone []*archive.Patch,
	ways map[string]*archive.Patch) error {
	var oldest *archive.Patch
	for _, way := range ways {
		first := way.First()
		if way.Restorable() && (oldest == nil || first.Time().Before(oldest.Time())) {
			oldest = first
		}
	}
	for _, p := range gone {
		if p.Header.Kind != format.Full || oldest == nil || p.Time().After(oldest.Time()) {
			continue
		}
		if err := r.verify(ctx, oldest); err != nil {
			return fmt.Errorf("%s stays, for the full patch that would be the oldest is not "+
				"right: %s: %w", p.Path, oldest.Path, err)
		}
	}
	return nil
}

// without finds the patches that lead to kept states, and to those on the way there, by their
// states, once others are gone.
func (r *runner) without(gone []*archive.Patch) (map[string]*archive.Patch, error) {
	var left []*archive.Patch
	for path, p := range r.now {
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
			p.InDoubt() && !k.InDoubt() && !r.Trust {
			return nil, fmt.Errorf("nothing is removed: the state of %s would need it", k.Path)
		}
		for _, q := range p.Chain() {
			if ways[q.State()] == nil || q == p {
				ways[q.State()] = q
			}
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
