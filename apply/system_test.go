package apply

import (
	"errors"
	"os"

	"lvmsync/format"
	"lvmsync/format/storage"
)

// A fakeSystem gives the answers that a test wants.
type fakeSystem struct {
	users       []storage.User
	unseen      int
	usersErr    error
	source      format.Source
	identifyErr error
	shares      bool
	backing     []string           // of which all belongs to the destination
	missing     []string           // what can't be opened
	dropped     int                // how often the cache was to be dropped
	thin        bool               // all of it, in a pool that zeroes its blocks
	parts       []storage.ThinPart // or these
	thinErr     error
	on          map[string]bool // what lies on the destination
}

// fake is the system that gives them.
func fake(s *fakeSystem) *system {
	return &system{
		identify: func(path string) (storage.ID, error) {
			id, err := storage.Identify(path)
			return id, errors.Join(err, s.identifyErr)
		},
		users: func(storage.ID) (storage.Usage, error) {
			return storage.Usage{Users: s.users, Unseen: s.unseen}, s.usersErr
		},
		describe: func(string, storage.ID) format.Source { return s.source },
		shares: func(storage.ID, format.Source, ...string) (bool, error) {
			return s.shares, nil
		},
		liesOn:    func(path string, _ storage.ID) (bool, error) { return s.on[path], nil },
		dropCache: func(*os.File) { s.dropped++ },
		backing: func(string) (files []storage.BackingFile, missing []string, err error) {
			for _, path := range s.backing {
				f, err := os.OpenFile(path, os.O_RDWR, 0)
				if err != nil {
					return files, nil, err
				}
				files = append(files, storage.BackingFile{File: f, Path: path, Whole: true})
			}
			return files, s.missing, nil
		},
		thinParts: func(storage.ID) ([]storage.ThinPart, error) {
			if s.thin {
				return []storage.ThinPart{
					{Len: 1 << 62, Block: 64 << 10, Zeroes: true, Direct: true}}, s.thinErr
			}
			return s.parts, s.thinErr
		},
	}
}
