package output

import (
	"fmt"
	"path/filepath"
	"strings"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump"
	"lvmsync/format/durable"
	"lvmsync/format/storage"
)

// warnPlace tells what the user should know of where a file at path, called name, is kept: in
// memory, or on what is read while it's written.
func warnPlace(inv *cli.Invocation, inputs dump.Inputs, path, name string) {
	// which says so itself
	if memory := durable.Memory(path); memory != "" && !strings.HasPrefix(name, "/dev/shm/") {
		inv.Warn(fmt.Sprintf("%s is kept in %s: it is gone after a power cut or a restart",
			name, memory))
	}
	for _, in := range inputs {
		if in.Still {
			continue
		}
		if on, err := storage.LiesOn(path, in.ID()); err == nil && on {
			inv.Warn(fmt.Sprintf("%s lies on %s %s, which changes while it is read: "+
				"write it elsewhere", name, in.What, in.Name()))
		}
	}
}

// folderOf is the folder that a file to be made at path is in.
func folderOf(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return filepath.Dir(path)
}
