// Package dump writes the changes of a block device as a patch.
//
// A [Source] says which extents to send and where their data are read: the packages
// below this one have one for each way of finding changes. [Run] does the rest,
// the same for all: it batches the extents into segments, reads with several
// requests in flight, finds blocks of zeros, and hands the segments to a
// [format.Writer], which hashes and compresses them on all cores.
package dump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/uuid"

	"lvmsync/format"
)

// ErrIncomplete means that the changes can't be told from what is there: the
// snapshot has overflowed, or its list is not to be trusted. Nothing that was
// dumped may be used.
var ErrIncomplete = errors.New("the list of changes is incomplete")

// Options tune [Run].
type Options struct {
	// ExactBase is the user's word that the destination holds the base bit by
	// bit. Only then may blocks that equal the base be left out.
	ExactBase   bool
	BlockSize   int64  // unit in bytes in which is compared, a power of two; 0: refine.BlockSize
	Level       int    // compression, see format.WriterOptions
	Tool        string // name of the program, for the header
	ToolVersion string // its version
	// ZeroUnreadable makes a run go on where a sector can't be read: it is sent as a
	// lost zero extent.
	ZeroUnreadable bool
	// Unreadable, if set, is called with each range that can't be read, and why, one
	// at a time.
	Unreadable func(e format.Extent, err error)
	// BeforeTrailer, if set, is called when all but the trailer has been written. An
	// error means that it may not be where it was written to, and there is no trailer.
	BeforeTrailer func() error
	// Progress, if set, is called with the number of bytes of the planned total
	// that have been read and handed to the writer. The calls come one at a
	// time, before Run returns.
	Progress func(done int64)
}

// A Report says what was dumped.
type Report struct {
	Header     format.Header
	Totals     format.Totals
	Lost       Lost  // of the totals' zero extents
	PatchBytes int64 // size of the patch
}

// Run writes the patch of src to w and closes neither. Unless it returns nil, what
// was written is no whole patch: it has no trailer, and every reader says so.
//
// Run returns soon after ctx ends, with an error that is context.Canceled or
// context.DeadlineExceeded, unless a ReadAt or Write that is under way doesn't:
// it waits for those. A w that may block for ever must therefore know ctx.
func Run(ctx context.Context, src Source, w io.Writer, o Options) (Report, error) {
	if err := src.complete(); err != nil {
		return Report{}, err
	}
	reading, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if o.ZeroUnreadable {
		src = src.zeroingUnreadable(reading, o.Unreadable)
	}
	exact := o.ExactBase || src.Sums != nil
	how, err := newStrategy(src, exact, o.BlockSize)
	if err != nil {
		return Report{}, err
	}
	h := completeHeader(src.Header, o)
	if h.Kind == format.Delta {
		if h.Base, err = describeBase(ctx, src, exact); err != nil {
			return Report{}, failed(ctx, src, err)
		}
	}
	pw, err := format.NewWriter(w, h,
		format.WriterOptions{Level: o.Level, BeforeTrailer: o.BeforeTrailer})
	if err != nil {
		return Report{}, err
	}
	defer pw.Abort()
	if err := newPipeline(src.Extents, how, pw, o.Progress).run(reading, fail); err != nil {
		return Report{}, failed(ctx, src, err)
	}
	if err := src.Check(ctx); err != nil {
		return Report{}, err
	}
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	if err := pw.Close(); err != nil {
		return Report{}, err
	}
	return Report{h, pw.Totals(), src.losses.total(), pw.PatchBytes()}, nil
}

// completeHeader fills in what a source doesn't say.
func completeHeader(h format.Header, o Options) format.Header {
	h.ID = uuid.New()
	h.Created, h.Source.Uptime = begun(h.Source.Uptime)
	h.Tool, h.ToolVersion = o.Tool, o.ToolVersion
	h.Host, _ = os.Hostname() // only told to people: unknown is fine
	return h
}

// ErrNoBase means that blocks can't be compared with the base, for it can't be
// read.
var ErrNoBase = errors.New("the base can't be read here")

// describeBase is what the header of a delta says of what the destination must hold.
func describeBase(ctx context.Context, src Source, exact bool) (*format.Base, error) {
	base := format.Base{}
	if src.Header.Base != nil {
		base = *src.Header.Base
	}
	base.Exact = exact
	if src.Unchanged != nil {
		var err error
		base.Fingerprint, err = fingerprint(ctx, src.Unchanged, src.Extents, src.Header.VolumeSize)
		if err != nil {
			return nil, fmt.Errorf("take a sample of what has not changed: %w", err)
		}
	}
	return &base, nil
}

// failed is the error to report for err, which came while the source was read.
// If the source says that it is worth nothing any more, that is the reason: the
// snapshot that it was read from gives errors once it has overflowed.
func failed(ctx context.Context, src Source, err error) error {
	if src.Sums != nil {
		return err // its check would wait for all of the signature
	}
	if ctx.Err() == nil {
		if checkErr := src.Check(ctx); errors.Is(checkErr, ErrIncomplete) {
			return checkErr
		}
	}
	return err
}

// Plan counts what a patch of src would hold, without reading the data. Blocks
// of zeros among the data are not looked for.
func Plan(ctx context.Context, src Source) (format.Totals, error) {
	var t format.Totals
	for e, err := range src.Extents {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return t, err
		}
		t.Extents++
		if e.Kind == format.Zero {
			t.ZeroBytes += e.Len
		} else {
			t.DataBytes += e.Len
		}
	}
	return t, src.Check(ctx)
}

// readError says where reading the source failed.
func readError(e format.Extent, err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = cmp.Or(err, io.ErrUnexpectedEOF)
		return fmt.Errorf("read the bytes [%d, %d): the source has become smaller: %w",
			e.Off, e.End(), err)
	}
	err = fmt.Errorf("read the bytes [%d, %d): %w", e.Off, e.End(), err)
	if unreadable(err) {
		err = unreadableError{err}
	}
	return err
}
