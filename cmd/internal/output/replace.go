package output

import (
	"context"
	"errors"
	"fmt"
	"os"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/container"
)

var (
	errNotSuch  = errors.New("what is there is not replaced")
	errFollowed = errors.New("what is there is needed by others")
)

// checkOld refuses to replace a file at path that is no "patch" or the like, whatever is to be
// written there, and a patch that others need. What can't be read is told of when it's replaced.
func checkOld(ctx context.Context, what, path string) error {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if k := container.Identify(f, st.Size()); k.Name != "a "+what {
		is := "no " + what
		if k.Is() {
			is = k.Name
		}
		return fmt.Errorf("create the %s file %s: %w: it is %s", what, path, errNotSuch, is)
	}
	if o, _ := format.ReadOutline(f, st.Size()); o != nil && o.Header.Kind == format.Undo {
		return fmt.Errorf("create the %s file %s: %w: it is an undo patch, which may be the only "+
			"way back", what, path, errNotSuch)
	}
	if next := follower(ctx, path, st); next != "" {
		return fmt.Errorf("create the %s file %s: %w: %s follows it", what, path, errFollowed, next)
	}
	return ctx.Err()
}

// follower is a patch beside the one at path that follows it by name; empty if none does.
func follower(ctx context.Context, path string, st os.FileInfo) string {
	a, err := archive.Read(ctx, folderOf(path))
	if err != nil {
		return ""
	}
	for _, v := range a.Volumes {
		for _, c := range v.Chains {
			for _, p := range c.Patches {
				if p.Follows == nil || p.Doubt != "" {
					continue
				}
				if old, err := os.Stat(p.Follows.Path); err == nil && os.SameFile(old, st) {
					return p.Path
				}
			}
		}
	}
	return ""
}
