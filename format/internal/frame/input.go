package frame

import (
	"errors"
	"io"
)

// Input hands on what a patch is read from, and marks its errors, so that a failing input is
// never taken for a corrupt patch.
func Input(r io.Reader) io.Reader { return input{r} }

type input struct{ r io.Reader }

type inputError struct{ error }

func (e inputError) Unwrap() error { return e.error }

func (in input) Read(b []byte) (int, error) {
	n, err := in.r.Read(b)
	if err != nil && err != io.EOF {
		err = inputError{err}
	}
	return n, err
}

// InputAt hands on what a patch is read from at random, and marks its errors. Bytes that it
// should have and lacks are its failure too, for its size is known.
func InputAt(r io.ReaderAt) io.ReaderAt { return inputAt{r} }

type inputAt struct{ r io.ReaderAt }

func (in inputAt) ReadAt(b []byte, off int64) (int, error) {
	n, err := in.r.ReadAt(b, off)
	switch {
	case n == len(b):
		return n, nil // at the end, an io.ReaderAt may add io.EOF
	case err == nil, err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, inputError{err}
}

// IsInputError tells whether an error is that of an input.
func IsInputError(err error) bool {
	var e inputError
	return errors.As(err, &e)
}
