package volume

import (
	"errors"
	"fmt"
	"io"
	"os"
)

var errWritten = errors.New("it has been written to since it was opened")

// Still reads a regular file for as long as nobody writes to it: then every read is an error,
// for what was read of it before no longer fits. The file stays the caller's.
func Still(f *os.File) (io.ReaderAt, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &still{f, st}, nil
}

type still struct {
	f  *os.File
	st os.FileInfo // when it was opened
}

// ReadAt implements [io.ReaderAt]. It looks at the file behind the read, when what was read can no
// longer change.
func (s *still) ReadAt(b []byte, off int64) (int, error) {
	n, err := s.f.ReadAt(b, off)
	now, statErr := s.f.Stat()
	switch {
	case statErr != nil:
		return 0, fmt.Errorf("look at %s: %w", s.f.Name(), statErr)
	case now.Size() != s.st.Size() || !now.ModTime().Equal(s.st.ModTime()):
		return 0, errWritten
	}
	return n, err
}
