package apply

import (
	"os"

	"lvmsync/format"
)

// A System looks at a device or file from outside. It's an interface because
// the same questions are asked on the dumping side, whose package answers them.
type System interface {
	// Users lists who else uses a block device or image file, and how many
	// processes could not be looked at.
	Users(path string) (users []User, unseen int, err error)
	// Describe says what a patch would say if path was its source.
	Describe(path string) (format.Source, error)
	// DropCache empties the page cache of an open block device, what other openers
	// keep included, as far as that is harmless and this program may.
	DropCache(device *os.File)
	// IsThin tells whether a block device is a thin volume: what is discarded
	// there is unmapped, and what is unmapped reads as zeros.
	IsThin(path string) bool
}

// A User is somebody who uses a device or file.
type User struct {
	Text   string // such as "mounted on /srv"
	Writes bool   // may write to it
}
