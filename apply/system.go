package apply

import (
	"os"

	"lvmsync/format"
	"lvmsync/format/storage"
)

// A system looks at the destination from outside. Tests have others than the real one.
type system struct {
	identify  func(path string) (storage.ID, error)
	users     func(storage.ID) (storage.Usage, error)
	describe  func(path string, id storage.ID) format.Source
	shares    func(id storage.ID, source format.Source, uuids ...string) (bool, error)
	backing   func(path string) (files []storage.BackingFile, missing []string, err error)
	liesOn    func(path string, id storage.ID) (bool, error)
	dropCache func(device *os.File)
	thinParts func(storage.ID) ([]storage.ThinPart, error)
}

var thisSystem = system{
	identify:  storage.Identify,
	users:     storage.UsersAndClaims,
	describe:  storage.Describe,
	shares:    storage.SharesWith,
	backing:   storage.OpenBacking,
	liesOn:    storage.LiesOn,
	dropCache: storage.DropCache,
	thinParts: storage.ThinParts,
}

// mayWrite tells whether somebody who uses the destination may write to it: a file system that is
// mounted read-only does so when it is mended, and who has locked it is going to.
func mayWrite(u storage.User) bool {
	return !u.ReadOnly || u.Kind == storage.Mounted || u.Kind == storage.Locked
}
