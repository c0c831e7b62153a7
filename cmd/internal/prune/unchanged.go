package prune

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/durable"
)

var errChanged = errors.New("it is no longer the patch that it was when it was looked at")

// unchanged makes sure that a file still has the patch that it had.
func unchanged(ctx context.Context, p *archive.Patch) error {
	got, err := look(ctx, p.Path)
	if err == nil &&
		(got.Header.ID != p.Header.ID || got.Totals != p.Totals || got.Size != p.Size) {
		err = errChanged
	}
	return err
}

// look reads header and trailer of the patch at path.
func look(ctx context.Context, path string) (*archive.Patch, error) {
	a, err := archive.Read(ctx, path)
	switch {
	case err != nil:
		return nil, err
	case len(a.Files) > 0:
		return nil, a.Files[0].Err
	case len(a.Volumes) == 0 || len(a.Volumes[0].Chains) == 0:
		return nil, format.ErrNotPatch
	}
	return a.Volumes[0].Chains[0].First(), nil
}

// needed are the files that kept states need, as they were when they were looked at.
type needed map[string]fs.FileInfo

// add looks at the patches on the ways to states, and forgets others.
func (n needed) add(ctx context.Context, ways map[string]*archive.Patch) error {
	maps.DeleteFunc(n, func(path string, _ fs.FileInfo) bool { return ways[path] == nil })
	for _, p := range ways {
		st, err := os.Stat(p.Path)
		if err == nil && !asBefore(st, n[p.Path]) {
			err = unchanged(ctx, p)
		}
		if err != nil {
			return fmt.Errorf("nothing is removed: %s: %w", p.Path, durable.Cause(err))
		}
		n[p.Path] = st
	}
	return nil
}

// asBefore tells whether a file is the same, and nobody has written to it; was may be nil.
func asBefore(st, was fs.FileInfo) bool {
	return was != nil && os.SameFile(st, was) && st.Size() == was.Size() &&
		st.ModTime().Equal(was.ModTime())
}

// stand makes sure that nobody has touched the files.
func (n needed) stand() error {
	for path, was := range n {
		st, err := os.Stat(path)
		if err == nil && !asBefore(st, was) {
			err = errChanged
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, durable.Cause(err))
		}
	}
	return nil
}
