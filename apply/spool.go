package apply

import (
	"errors"
	"fmt"
	"os"
)

// newSpool creates a file in dir and takes its name away at once, so that
// nothing is left behind whatever happens.
func newSpool(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".lvmsync-spool-*")
	if err != nil {
		return nil, fmt.Errorf("create a spool file in %s: %w", dir, cause(err))
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("create a spool file in %s: %w", dir, err)
	}
	return f, nil
}

// A spoolWriter marks its errors, which otherwise would look like those of
// reading the patch.
type spoolWriter struct {
	f   *os.File
	dir string
}

type spoolWriteError struct{ error }

func (e spoolWriteError) Unwrap() error { return e.error }

func (w spoolWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if err != nil {
		err = spoolWriteError{fmt.Errorf("write the spool file in %s: %w", w.dir, cause(err))}
	}
	return n, err
}

// spoolError is the error of writing the spool file if that is what it was.
func spoolError(err error) error {
	var w spoolWriteError
	if errors.As(err, &w) {
		return w.error
	}
	return err
}
