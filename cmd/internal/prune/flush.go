package prune

import (
	"fmt"
	"path/filepath"

	"lvmsync/format/archive"
	"lvmsync/format/durable"
)

// flush makes durable what is on the ways to states, files and their names: a shell or rsync may
// have written them a moment ago.
func (r *runner) flush(ways map[string]*archive.Patch) error {
	folders := make(map[string]bool)
	for _, p := range ways {
		if r.flushed[p.Path] {
			continue
		}
		if err := r.sys.files.SyncFile(p.Path); err != nil {
			return fmt.Errorf("nothing is removed: flush %s: %w", p.Path, err)
		}
		real, err := filepath.EvalSymlinks(p.Path)
		if err != nil {
			return fmt.Errorf("nothing is removed: %s: %w", p.Path, durable.Cause(err))
		}
		folders[filepath.Dir(p.Path)], folders[filepath.Dir(real)] = true, true
		r.flushed[p.Path] = true
	}
	for folder := range folders {
		if err := r.sys.files.SyncFolder(folder); err != nil {
			return fmt.Errorf("nothing is removed: flush the folder %s: %w", folder, err)
		}
	}
	return nil
}
