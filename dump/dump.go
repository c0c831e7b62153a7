// Package dump writes the changes of a block device as a patch.
//
// A [Source] says which extents to send and reads their data: the packages
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
	"iter"
	"os"

	"github.com/google/uuid"

	"lvmsync/format"
)

// ErrIncomplete means that the changes can't be told from what is there: the
// snapshot has overflowed, or its list is not to be trusted. Nothing that was
// dumped may be used.
var ErrIncomplete = errors.New("the list of changes is incomplete")

// A Source finds what a patch must hold.
type Source interface {
	// Header describes the patch: kind, source, volume size, granularity, base,
	// and what is planned. Run fills in the rest. Source.Uptime is when the dump
	// began: before anything was listed; 0 if that is now.
	Header() format.Header
	// Extents yields the extents in ascending order, none touching the next of
	// its kind. The first error ends it.
	Extents() iter.Seq2[format.Extent, error]
	// ReadAt reads the data. It is called from several goroutines.
	io.ReaderAt
	// Base reads the base of a delta; nil if it can't be read.
	Base() Base
	// Unchanged reads what lies outside the extents of a delta, best from
	// something that stands still; nil for a full patch, and if the header has
	// the fingerprint already.
	Unchanged() io.ReaderAt
	// Inputs are the devices and files that it reads. They have been flushed.
	Inputs() Inputs
	// Check is called when the last data has been read. An error means that
	// list or data turned out not to be what they should, and that the patch
	// must not be finished.
	Check(ctx context.Context) error
	// Close releases what the source holds.
	Close() error
}

// A Base is what the volume held before the changes. It may be shorter than the
// volume, which has grown then: by whole sectors. ReadAt is called from several
// goroutines.
type Base interface {
	io.ReaderAt
	Size() int64 // in bytes
}

// Sums are the hashes of a base that can't be read here, as xxh64 with a seed.
type Sums interface {
	// BlockSize is how much each sum is of, in bytes: a power of two.
	BlockSize() int64
	// Size is the size of the base in bytes. Of a last block that is not whole
	// the sum is of what there is.
	Size() int64
	// Seed is that of the sums, and of the base hashes in the patch.
	Seed() uint64
	// Sum returns the sum of the block that begins at off. From one call to the
	// next, off must increase.
	Sum(off int64) (BlockSum, error)
}

// A BlockSum is the hash of a block.
type BlockSum struct {
	Hash uint64 // means nothing if Zero is set
	Zero bool   // the block is all zeros
}

// A Summed is a [Source] that knows the sums of its base and not what it holds.
// Its extents begin and end on blocks, and are the whole volume.
type Summed interface {
	Source
	Sums() Sums
}

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
	// lost zero extent. A sector has 512 bytes, or what the source's method
	// LogicalBlockSize says, if it has one.
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
	h := src.Header()
	h.ID = uuid.New()
	h.Created, h.Source.Uptime = begun(h.Source.Uptime)
	h.Tool, h.ToolVersion = o.Tool, o.ToolVersion
	h.Host, _ = os.Hostname() // only told to people: unknown is fine
	compare, err := newComparison(src, o)
	if err != nil {
		return Report{}, err
	}
	original := src
	var save *salvage
	if o.ZeroUnreadable {
		save = newSalvage(ctx, src, o.Unreadable)
		src = save
		h.RequiredFeatures = append(h.RequiredFeatures, format.LostSectors)
	}
	if h.Kind == format.Delta {
		if err := describeBase(ctx, src, &h, compare != nil); err != nil {
			return Report{}, failed(ctx, original, err)
		}
	}
	pw, err := format.NewWriter(w, h, format.WriterOptions{Level: o.Level, BeforeTrailer: o.BeforeTrailer})
	if err != nil {
		return Report{}, err
	}
	defer pw.Abort()
	if err := newPipeline(src, compare, save, pw, o.Progress).run(ctx); err != nil {
		return Report{}, failed(ctx, original, err)
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
	return Report{Header: h, Totals: pw.Totals(), Lost: save.total(), PatchBytes: pw.PatchBytes()}, nil
}

// ErrNoBase means that blocks can't be compared with the base, for it can't be
// read.
var ErrNoBase = errors.New("the base can't be read here")

// describeBase says in the header of a delta what the destination must hold.
func describeBase(ctx context.Context, src Source, h *format.Header, exact bool) error {
	base := format.Base{}
	if h.Base != nil {
		base = *h.Base
	}
	base.Exact = exact
	if in := src.Unchanged(); in != nil {
		var err error
		if base.Fingerprint, err = fingerprint(ctx, in, src.Extents(), h.VolumeSize); err != nil {
			return fmt.Errorf("take a sample of what has not changed: %w", err)
		}
	}
	h.Base = &base
	return nil
}

// failed is the error to report for err, which came while the source was read.
// If the source says that it is worth nothing any more, that is the reason: the
// snapshot that it was read from gives errors once it has overflowed.
func failed(ctx context.Context, src Source, err error) error {
	if _, ok := src.(Summed); ok {
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
	for e, err := range src.Extents() {
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
		return fmt.Errorf("read the bytes [%d, %d): the source has become smaller: %w", e.Off, e.End(), err)
	}
	err = fmt.Errorf("read the bytes [%d, %d): %w", e.Off, e.End(), err)
	if unreadable(err) {
		err = unreadableError{err}
	}
	return err
}
