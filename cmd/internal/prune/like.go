package prune

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"lvmsync/format/archive"
	"lvmsync/format/durable"
)

// beLike gives a merged file the owner, the group and the mode of those that it is merged of. Where
// these differ it is for those only who may read all of them.
func (r *runner) beLike(patches []*archive.Patch, f *os.File) error {
	mode, uid, gid := fs.ModePerm, -1, -1 // -1: as it is
	for i, p := range patches {
		st, err := os.Stat(p.Path)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Path, durable.Cause(err))
		}
		mode &= st.Mode().Perm()
		own := st.Sys().(*syscall.Stat_t)
		switch {
		case i == 0:
			uid, gid = int(own.Uid), int(own.Gid)
			continue
		case uid != int(own.Uid):
			uid = -1
		}
		if gid != int(own.Gid) {
			gid = -1
			mode &^= 0o070
		}
	}
	if err := r.sys.chown(f, uid, gid); err != nil {
		path := patches[len(patches)-1].Path
		r.Warn(fmt.Sprintf("what %s is merged to can't be given its owner and group: %v", path,
			durable.Cause(err)))
		mode &^= 0o070
	}
	return durable.Cause(f.Chmod(mode))
}
