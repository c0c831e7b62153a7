package apply

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"reflect"

	"lvmsync/format"
	"lvmsync/format/durable"
)

// segments are what a patch, or several that are read as one, consist of.
type segments interface {
	// Next returns the next segment, or io.EOF when it is certain that there are
	// no more.
	Next() (*format.Segment, error)
}

// An input is a patch that is being read.
type input struct {
	name   string
	header format.Header
	size   int64 // in bytes; that of a pipe isn't known and is as large as can be
	device bool  // it's on a block device: where it ends is known once it has been read
	reader *format.Reader
	again  func() io.Reader // the patch from its beginning once more; nil: it can be read once
	at     io.ReaderAt      // the patch, if it can be read at random
	spool  *durable.File
	warn   func(string)
	peeked *format.Segment // read ahead; the next one to return
	end    int64           // of the extents that have been read

	force      bool  // use what is whole of an undo patch that is damaged
	prefixOnly bool  // but nothing that only its base hashes vouch for
	tail       *tail // nil: all of it has been understood, as far as it has been read

	byHashes bool  // only its base hashes tell that it follows the one before
	unhashed int64 // bytes of extents for which it has none, but for single sectors

	each    func(*format.Segment) // if set, is shown the segments of one of several, with sums
	hasBase bool                  // a segment has base hashes, as far as they have been read
	lost    lostCount             // of the whole volume, once readAll has read it
}

// openInput begins to read a patch, and to spool it if that is wanted.
func openInput(patch Patch, held int, o Options) (*input, error) {
	in := &input{name: patch.Name, size: math.MaxInt64, warn: o.Warn}
	in.force, in.prefixOnly = o.Force, o.NoCheckBase
	first := patch.Reader
	if s := section(patch.Reader); s != nil {
		in.size, in.at, in.device = s.Size(), s, isDevice(patch.Reader)
		in.again = func() io.Reader {
			again := io.NewSectionReader(s, 0, s.Size())
			if in.device {
				return format.OnDevice(again)
			}
			return again
		}
		first = in.again()
	} else if o.SpoolDir != "" {
		spool, err := newSpool(o)
		if err != nil {
			return nil, err
		}
		in.spool = spool
		in.again = func() io.Reader { return io.NewSectionReader(spool.File(), 0, math.MaxInt64) }
		first = io.TeeReader(first, spoolWriter{spool, o.SpoolDir})
	}
	var err error
	if in.reader, err = format.NewReader(first, format.ReaderOptions{Held: held}); err != nil {
		in.close()
		return nil, spoolError(err)
	}
	in.header = in.reader.Header()
	in.leaveOutZeros()
	return in, nil
}

// leaveOutZeros leaves out of the size of a patch in a file the zeros behind its end.
func (in *input) leaveOutZeros() {
	if in.at == nil || in.device {
		return
	}
	if end, ok := format.End(in.at, in.size); ok {
		in.size = end
	}
}

// isDevice tells whether a patch is read from a block device.
func isDevice(patch io.Reader) bool {
	f, ok := patch.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode().Type() == fs.ModeDevice
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

// rewind begins to read the patch once more. A spool is on its disk then: what that has
// lost is not noticed when half of it has been applied.
func (in *input) rewind(held int) error {
	if in.spool != nil {
		if err := in.spool.Sync(); err != nil {
			return fmt.Errorf("flush the spool file: %w", err)
		}
	}
	r, err := format.NewReader(in.again(),
		format.ReaderOptions{Held: held, FrameSums: in.each != nil})
	if err != nil {
		return err
	}
	in.reader.Close()
	in.reader, in.end = r, 0
	if in.tail != nil {
		in.tail.salvage = nil
	}
	if in.spool != nil {
		st, err := in.spool.File().Stat()
		if err != nil {
			return fmt.Errorf("look at the spool file: %w", durable.Cause(err))
		}
		in.size = st.Size()
	}
	if !reflect.DeepEqual(r.Header(), in.header) { // the destination was checked against that one
		return fmt.Errorf("%s: the patch has changed while it was read", in.name)
	}
	return nil
}

// Next implements segments. An undo patch may lack its end: see torn.
func (in *input) Next() (*format.Segment, error) {
	if s := in.peeked; s != nil {
		in.peeked = nil
		return s, nil
	}
	if in.tail != nil && in.tail.salvage != nil {
		return in.tail.next()
	}
	s, err := in.reader.Next()
	switch {
	case err == nil:
		in.end = s.Records[len(s.Records)-1].End()
	case err != io.EOF:
		if err = in.torn(spoolError(err)); err == nil {
			return in.tail.next()
		}
	}
	return s, err
}

// readAll reads a patch to its end, for the checks, and hands on its segments.
func (in *input) readAll(ctx context.Context, o Options, use func(*format.Segment) error) error {
	in.lost = lostCount{size: in.header.VolumeSize}
	for {
		s, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		in.lost.add(s)
		err = use(s)
		s.Release()
		if err != nil {
			return err
		}
		o.Progress(Verifying, in.reader.Totals().Bytes())
	}
}

func (in *input) close() {
	if in.reader != nil {
		in.reader.Close()
	}
	if in.spool != nil {
		_ = in.spool.Remove()
	}
}
