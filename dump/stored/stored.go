// Package stored reads a state of an archive in place of the device that once held it.
package stored

import (
	"errors"
	"io"

	"github.com/google/uuid"

	"lvmsync/dump"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/volume"
)

// A State is what an archive has of a volume at one time. It implements [dump.Copy]: what was lost
// there is a [dump.UnknownError], and damage an error of [volume.Volume.ReadAt].
type State struct {
	volume *volume.Volume
	files  archive.Files
	patch  *archive.Patch
	size   int64
}

// cache is how much memory what was read may take, in bytes: all is read once, in order.
const cache = 32 << 20

// Open opens the state that the patch leads to. Its chain must begin with a full one.
func Open(p *archive.Patch) (*State, error) {
	v, files, err := p.Open(volume.Options{Cache: cache})
	if err != nil {
		return nil, err
	}
	// What a merged patch has behind the end of the last of its volumes is no part of that.
	size := min(v.Size(), p.Header.Last().VolumeSize)
	return &State{v, files, p, size}, nil
}

// Close closes the files.
func (s *State) Close() error { return errors.Join(s.volume.Close(), s.files.Close()) }

// Size is the volume's in bytes.
func (s *State) Size() int64 { return s.size }

// Patch is the id of the patch that leads to the state: of a merged one that of the last of those
// that it was merged of, which other archives may have.
func (s *State) Patch() uuid.UUID { return s.patch.Header.Last().ID }

// Path is the file of the patch.
func (s *State) Path() string { return s.patch.Path }

// Files are the paths of the files that are read, in order: of a patch whose file is damaged, that
// of a copy.
func (s *State) Files() (paths []string) {
	for _, f := range s.files {
		paths = append(paths, f.Name())
	}
	return paths
}

// ReadAt implements [io.ReaderAt].
func (s *State) ReadAt(b []byte, off int64) (int, error) {
	inside := b[:max(0, min(int64(len(b)), s.size-off))]
	n, err := s.volume.ReadAt(inside, off)
	var lost *volume.LostError
	switch {
	case errors.As(err, &lost):
		err = &dump.UnknownError{Extent: lost.Extent, Err: err}
	case err == nil && len(inside) < len(b):
		err = io.EOF
	}
	return n, err
}

// WillNeed does nothing: the volume finds out who reads it in order.
func (s *State) WillNeed(off, n int64) {}

// Check finds nothing: each part was checked before it was given.
func (s *State) Check() error { return nil }

// Zeros implements [dump.Copy].
func (s *State) Zeros() dump.Zeros { return zeros{s} }

type zeros struct{ state *State }

// Cover implements [dump.Zeros].
func (z zeros) Cover(off, n int64) (bool, error) {
	for end := min(off+n, z.state.size); off < end; {
		e := z.state.volume.Extent(off)
		if e.Kind != format.Zero || e.Len == 0 {
			return false, nil
		}
		off = e.End()
	}
	return true, nil
}

func (z zeros) Close() {}
