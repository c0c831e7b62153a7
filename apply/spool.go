package apply

import (
	"errors"
	"fmt"

	"lvmsync/format/durable"
)

// newSpool creates a file in dir without a name, so that nothing is left behind
// whatever happens.
func newSpool(o Options) (*durable.File, error) {
	f, err := o.files.Temp(o.SpoolDir)
	if err != nil {
		return nil, fmt.Errorf("create a spool file in %s: %w", o.SpoolDir, err)
	}
	return f, nil
}

// A spoolWriter marks its errors, which otherwise would look like those of
// reading the patch.
type spoolWriter struct {
	f   *durable.File
	dir string
}

type spoolWriteError struct{ error }

func (e spoolWriteError) Unwrap() error { return e.error }

func (w spoolWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if err != nil {
		err = spoolWriteError{fmt.Errorf("write the spool file in %s: %w", w.dir, err)}
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
