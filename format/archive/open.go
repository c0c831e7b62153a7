package archive

import (
	"errors"
	"fmt"
	"io"
	"os"

	"lvmsync/format"
	"lvmsync/format/volume"
)

// ErrReplaced means that another patch, or something else, is in the place of a patch.
var ErrReplaced = errors.New("it is no longer the patch that it was when it was looked at")

// Files are the open files of a chain, in order. Close closes them all.
type Files []*os.File

// Close closes the files.
func (f Files) Close() error {
	var errs []error
	for _, file := range f {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// Open opens the chain of the patch as one volume, which must be closed before the files. Each file
// must still be what it was; of one that is damaged a copy is opened. Unless the chain begins with
// a full patch, o has the base.
func (p *Patch) Open(o volume.Options) (*volume.Volume, Files, error) {
	var files Files
	var patches []volume.Patch
	for _, one := range p.Chain() {
		file, patch, err := one.OpenAt()
		if err != nil {
			files.Close()
			return nil, nil, err
		}
		files = append(files, file)
		patches = append(patches, volume.Patch{Name: file.Name(), File: patch})
	}
	v, err := volume.Open(patches, o)
	if err != nil {
		files.Close()
		return nil, nil, err
	}
	return v, files, nil
}

// OpenFile opens the file of the patch, or a copy of it, as its name tells, if that is damaged. It
// must still be what it was.
func (p *Patch) OpenFile() (*os.File, error) {
	f, _, err := p.OpenAt()
	return f, err
}

// OpenAt opens the file of the patch to be read at random; it must still be what it was. Once
// somebody writes to it, reading the patch is an error.
func (p *Patch) OpenAt() (*os.File, *format.File, error) {
	f, patch, err := p.open()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.Path, err)
	}
	return f, patch, nil
}

// open opens the file of the patch, or else a copy: of a file that is not right, or has gone, the
// error is told only if there is no other one.
func (p *Patch) open() (*os.File, *format.File, error) {
	f, patch, err := p.openAt(p.Path)
	for _, path := range p.copies {
		if err == nil {
			break
		}
		if g, other, err2 := p.openAt(path); err2 == nil {
			f, patch, err = g, other, nil
		}
	}
	return f, patch, err
}

// openAt opens a file that should have the patch.
func (p *Patch) openAt(path string) (*os.File, *format.File, error) {
	f, st, err := open(place{path: path})
	if err != nil {
		return nil, nil, err
	}
	var patch *format.File
	r, err := volume.Still(f)
	if err == nil {
		patch, err = format.OpenFile(r, st.Size())
	}
	if err == nil && (patch.Header().ID != p.Header.ID || !p.hasSum(r, st.Size())) {
		err = ErrReplaced
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, patch, nil
}

// hasSum tells whether r, of size bytes, ends as the patch did.
func (p *Patch) hasSum(r io.ReaderAt, size int64) bool {
	sum, ok := format.ReadSum(r, size)
	return ok == !p.NoEnd && sum == p.sum
}
