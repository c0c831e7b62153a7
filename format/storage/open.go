package storage

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"lvmsync/format/durable"
)

// Open opens the block device or regular file at path for reading, and tells which one it is. A
// block device is opened with O_DIRECT; there is no silent fall-back to buffered reads.
// Directories, character devices, sockets and pipes are refused, without opening them. The caller
// closes the file.
func Open(path string) (*os.File, ID, error) {
	id, err := Identify(path)
	if err != nil {
		return nil, id, err
	}
	f, err := openAs(id, path)
	return f, id, err
}

// openAs opens path the way Open promises, and makes sure that it still leads to id: whatever has
// replaced it since Identify has not been checked.
func openAs(id ID, path string) (*os.File, error) {
	what, flags := "open "+path, unix.O_RDONLY
	if id.Device {
		what, flags = what+" for direct reading", flags|unix.O_DIRECT
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, durable.Cause(err))
	}
	if now, err := IdentifyFile(f); err != nil || now != id {
		f.Close()
		return nil, fmt.Errorf("%s: it is not %s any more", what, id)
	}
	return f, nil
}
