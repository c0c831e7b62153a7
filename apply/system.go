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
	// Shares tells whether a device or file shares storage with what a patch was
	// read from, as far as that is still there: the device that source names, if
	// that was in this boot, and those with the given device-mapper UUIDs.
	Shares(path string, source format.Source, uuids []string) (bool, error)
	// Backing opens the image files that a block device stands on, or the one behind
	// a file in an overlay, so that they can be locked. It warns of those that can't
	// be opened.
	Backing(path string, warn func(string)) ([]BackingFile, error)
	// LiesOn tells whether a file or folder is kept on the storage that a block device or
	// image file stands for, as far as file systems tell what they are on. It is not, if
	// it is not there.
	LiesOn(path, device string) (bool, error)
	// DropCache empties the page cache of an open block device, what other openers
	// keep included, as far as that is harmless and this program may.
	DropCache(device *os.File)
	// Thin lists the parts of a block device that lie in thin pools, in order. It
	// fails where one that does not zero its blocks may be among them, and where
	// those begin can't be told.
	Thin(path string) ([]ThinPart, error)
}

// A User is somebody who uses a device or file.
type User struct {
	Text   string // such as "mounted on /srv"
	Writes bool   // may write to it
}

// A BackingFile is an image file that a device stands on.
type BackingFile struct {
	*os.File
	Path  string // for messages
	Whole bool   // all of it belongs to the destination
}
