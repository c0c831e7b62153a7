package output

import (
	"errors"
	"fmt"
	"os"

	"lvmsync/cmd/internal/cli"
	"lvmsync/format/durable"
)

// A FolderInUseError is one of a folder that another program has locked.
type FolderInUseError struct {
	Folder   string
	Removing bool // what was to be done with it: to remove files, or to add one
}

// Error says who has it.
func (e *FolderInUseError) Error() string {
	if e.Removing {
		return "a dump or merge uses " + e.Folder + ", or another prune runs there"
	}
	return "lvmsync-patch prune runs in " + e.Folder
}

// lockFor locks the folder of a file to be made at path. What is there and no file needs no lock.
func lockFor(inv *cli.Invocation, path string) (*durable.FolderLock, error) {
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil, nil
	}
	return Lock(inv, folderOf(path), false)
}

// Lock locks a folder against those that remove files from it or, to remove some, against all who
// write there. Where there are no locks it warns, and returns nil. It ends by Unlock, or with the
// program.
func Lock(inv *cli.Invocation, folder string, removing bool) (*durable.FolderLock, error) {
	lock, err := durable.LockFolder(folder, removing)
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, durable.ErrLocked):
		return nil, &FolderInUseError{folder, removing}
	case errors.Is(err, durable.ErrNoLock) && removing:
		inv.Warn(fmt.Sprintf("%s: %v: make sure that nothing writes there meanwhile", folder, err))
	case errors.Is(err, durable.ErrNoLock):
		inv.Warn(fmt.Sprintf("%s: %v: lvmsync-patch prune must not run there meanwhile", folder,
			err))
	case removing:
		return nil, fmt.Errorf("lock the folder %s: %w", folder, err)
	}
	return nil, nil // it is not there, which is told when a file is made
}
