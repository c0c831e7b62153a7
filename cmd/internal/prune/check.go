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
)

// mayRemove makes sure that all kept states can be restored without what a step removes: it asks
// the headers that are left, as whoever restores does. If a patch goes since another one leads to
// the same state, which is kept, that is read to its end.
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
		for _, q := range way.Chain() {
			if r.checked[q.Path] {
				continue
			}
			if err := r.verify(ctx, q); err != nil {
				return fmt.Errorf("%s stays, for what leads to the same state is not right: %s: %w",
					p.Path, q.Path, err)
			}
		}
	}
	return nil
}

// without finds the patches that lead to kept states, by their states, once others are gone.
func (r *runner) without(gone []*archive.Patch) (map[string]*archive.Patch, error) {
	var left []*archive.Patch
	for path, p := range r.now {
		if !slices.ContainsFunc(gone, func(q *archive.Patch) bool { return q.Path == path }) {
			copied := *p // what follows what is told anew
			left = append(left, &copied)
		}
	}
	found := make(map[string][]*archive.Patch)
	for _, v := range archive.New(left).Volumes {
		for _, c := range v.Chains {
			for _, p := range c.Patches {
				found[p.State()] = append(found[p.State()], p)
			}
		}
	}
	ways := make(map[string]*archive.Patch)
	for _, k := range r.kept {
		at := slices.IndexFunc(found[k.State()], func(p *archive.Patch) bool {
			return p.Path == k.Path && p.Restorable() == k.Restorable() &&
				(!p.InDoubt() || k.InDoubt() || r.Trust)
		})
		if at < 0 {
			return nil, fmt.Errorf("nothing is removed: the state of %s would need it", k.Path)
		}
		ways[k.State()] = found[k.State()][at]
	}
	return ways, nil
}

// verify reads a patch to its end.
func (r *runner) verify(ctx context.Context, p *archive.Patch) error {
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
