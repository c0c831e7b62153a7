package apply

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"reflect"

	"lvmsync/format"
)

// input is where a patch is read from.
type input struct {
	first io.Reader        // the patch
	again func() io.Reader // the patch from its beginning once more; nil: it can be read once
	spool *os.File
}

// openInput prepares reading the patch, and spooling it if that is wanted.
func openInput(patch io.Reader, o Options) (*input, error) {
	if s := section(patch); s != nil {
		return &input{first: s, again: func() io.Reader { return io.NewSectionReader(s, 0, s.Size()) }}, nil
	}
	if o.SpoolDir == "" {
		return &input{first: patch}, nil
	}
	spool, err := newSpool(o.SpoolDir)
	if err != nil {
		return nil, err
	}
	return &input{
		first: io.TeeReader(patch, spoolWriter{spool, o.SpoolDir}),
		again: func() io.Reader { return io.NewSectionReader(spool, 0, math.MaxInt64) },
		spool: spool,
	}, nil
}

// section is the rest of a patch that can be read as often as one likes, or nil.
// A pipe has the methods for that, too, but they fail.
func section(patch io.Reader) *io.SectionReader {
	f, ok := patch.(interface {
		io.ReaderAt
		io.Seeker
	})
	if !ok {
		return nil
	}
	start, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil
	}
	return io.NewSectionReader(f, start, end-start)
}

// open begins to read the patch.
func (in *input) open() (*format.Reader, error) {
	r, err := format.NewReader(in.first, format.ReaderOptions{})
	return r, spoolError(err)
}

// verified reads the patch to its end and returns a Reader that begins again. A
// patch that can't be read twice, or need not be because nothing will be
// written, is returned as it is. With an error, too, there is a Reader to close.
func (in *input) verified(ctx context.Context, r *format.Reader, o Options) (*format.Reader, error) {
	if in.again == nil || o.DryRun {
		return r, nil
	}
	if err := readAll(ctx, r, o); err != nil {
		return r, spoolError(err)
	}
	again, err := format.NewReader(in.again(), format.ReaderOptions{})
	if err != nil {
		return r, err
	}
	if !reflect.DeepEqual(again.Header(), r.Header()) { // the destination was checked against that one
		return again, errors.New("the patch has changed while it was read")
	}
	return again, nil
}

// readAll reads a patch to its end, for the checks.
func readAll(ctx context.Context, r *format.Reader, o Options) error {
	for {
		s, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		s.Release()
		o.Progress(Verifying, r.Totals().Bytes())
	}
}

func (in *input) close() {
	if in.spool != nil {
		in.spool.Close()
	}
}
