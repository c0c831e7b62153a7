package prune

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/durable"
)

// Leftovers are the files that a killed run was merging patches to: they have the hidden name that
// a file gets which takes the place of a patch that is there, and are merged patches as far as they
// go, or empty. They are nobody's only if nobody writes to the folder.
func Leftovers(a *archive.Archive) (paths []string) {
	patches := make(map[string]bool)
	for _, v := range a.Volumes {
		for _, c := range v.Chains {
			for _, p := range c.Patches {
				patches[p.Path] = true
			}
		}
	}
	for _, f := range a.Files {
		if takesPlace(f.Path, patches) && isMerged(f.Path) {
			paths = append(paths, f.Path)
		}
	}
	return paths
}

// takesPlace tells whether a name is a patch's with a dot before it and digits behind it.
func takesPlace(path string, patches map[string]bool) bool {
	dir, name := filepath.Split(path)
	name, hidden := strings.CutPrefix(name, ".")
	for hidden && name != "" && name[len(name)-1] >= '0' && name[len(name)-1] <= '9' {
		name = name[:len(name)-1]
		if patches[dir+name] {
			return true
		}
	}
	return false
}

// isMerged tells whether a regular file has a merged patch or the beginning of one, if only that of
// its header, or nothing.
func isMerged(path string) bool {
	st, err := os.Lstat(path)
	if err != nil || !st.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	o, err := format.ReadOutline(f, st.Size())
	if o == nil {
		return st.Size() == 0 || errors.Is(err, format.ErrTruncated)
	}
	return o.Header.Merged != nil
}

// TakeAway removes leftovers.
func TakeAway(paths []string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove %s: %w", path, durable.Cause(err))
		}
	}
	return nil
}
