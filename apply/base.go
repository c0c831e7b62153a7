package apply

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

	"lvmsync/format"
)

const (
	// parallelReads is how many reads of the destination are in flight.
	parallelReads = 16
	// shownExtents is how many extents a BaseError or a LostError names.
	shownExtents = 3
)

// A baseCheck compares the destination with the base of a patch.
type baseCheck struct {
	dest *destination
	name string // of the patch, if there are several
	seed uint64 // of the base hashes
	undo bool   // it's an undo patch
	skip bool

	wrong []format.Extent // the first that hold something else
	count int64           // of them
	zeros spans
	buf   [3][]byte
}

// newBaseCheck prepares to check the base of the patch with that header.
func newBaseCheck(d *destination, h format.Header, skip bool) *baseCheck {
	c := &baseCheck{dest: d, undo: h.Kind == format.Undo, skip: skip, zeros: spans{dest: d}}
	if h.Base != nil {
		c.seed = uint64(h.Base.HashSeed)
	}
	return c
}

// A BaseError says where the destination does not hold the base of a patch.
type BaseError struct {
	Patch   string          // its name, if there are several
	Extents []format.Extent // the first that differ
	Count   int64           // how many do
	Samples int             // how many samples of the fingerprint differ
	Of      int             // of how many
	Undo    bool            // it is an undo patch
}

// Error says what differs.
func (e *BaseError) Error() string {
	text := ErrWrongBase.Error()
	if e.Patch != "" {
		text = fmt.Sprintf("what comes before %s is not its base", e.Patch)
	}
	if e.Of > 0 {
		return fmt.Sprintf("%s: %d of %d samples of what the patch leaves unchanged differ", text, e.Samples, e.Of)
	}
	what := fmt.Sprintf("%d extents hold", e.Count)
	if e.Count == 1 {
		what = "an extent holds"
	}
	return fmt.Sprintf("%s: %s something else, at bytes %s", text, what, ranges(e.Extents, e.Count))
}

// ranges lists the first of count extents.
func ranges(first []format.Extent, count int64) string {
	var where []string
	for _, x := range first {
		where = append(where, fmt.Sprintf("[%d, %d)", x.Off, x.End()))
	}
	if int64(len(where)) < count {
		where = append(where, "...")
	}
	return strings.Join(where, ", ")
}

// Unwrap makes the error match ErrWrongBase.
func (e *BaseError) Unwrap() error { return ErrWrongBase }

// samples compares the destination with the fingerprint of a patch.
func (c *baseCheck) samples(ctx context.Context, h format.Header) error {
	if c.skip || h.Base == nil {
		return nil
	}
	var bad, of atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for _, s := range h.Base.Fingerprint {
		if s.Offset+format.SampleSize > c.dest.size {
			continue // cut off
		}
		g.Go(func() error {
			b := make([]byte, format.SampleSize)
			if err := readFull(ctx, c.dest, b, s.Offset); err != nil {
				return err
			}
			of.Add(1)
			if !s.Holds(b) {
				bad.Add(1)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if bad.Load() > 0 {
		return &BaseError{Patch: c.name, Undo: c.undo, Samples: int(bad.Load()), Of: int(of.Load())}
	}
	return nil
}

// segment compares the destination with the base hashes of a segment.
func (c *baseCheck) segment(ctx context.Context, s *format.Segment) error {
	if c.skip || !hasBase(s) {
		return nil
	}
	old := c.buffer(2, int64(len(s.Data)))
	if err := c.dest.readData(ctx, s, old); err != nil {
		return err
	}
	c.zeros.ofZeros(s)
	return c.compare(ctx, s, old, &c.zeros)
}

// compare does the same if old, which lies in step with the data of the segment, and
// zeros are what the destination holds.
func (c *baseCheck) compare(ctx context.Context, s *format.Segment, old []byte, zeros *spans) error {
	for r, data := range s.All() {
		var is, shall io.ReaderAt = zeros, zeroReader{}
		if r.Kind == format.Data {
			is, shall = inMemory{old[:r.Len], r.Off}, inMemory{data, r.Off}
			old = old[r.Len:]
		}
		if err := c.record(ctx, r, is, shall); err != nil {
			return err
		}
	}
	return nil
}

func hasBase(s *format.Segment) bool {
	for _, r := range s.Records {
		if r.HasBase {
			return true
		}
	}
	return false
}

// record compares what is there with the base hash of one extent. If that differs, it
// may be what the patch leads to already: an earlier run was interrupted.
func (c *baseCheck) record(ctx context.Context, r format.Record, is, shall io.ReaderAt) error {
	if c.skip || !r.HasBase || r.End() > c.dest.size {
		return nil
	}
	sum := xxhash.NewWithSeed(c.seed)
	err := pieces(r.Extent, func(off, n int64) error {
		b := c.buffer(0, n)
		err := readFull(ctx, is, b, off)
		sum.Write(b)
		return err
	})
	if err != nil || sum.Sum64() == r.BaseHash {
		return err
	}
	if !c.dest.isNew() {
		if same, err := c.same(ctx, r.Extent, is, shall); same || err != nil {
			return err
		}
	}
	c.isWrong(r.Extent)
	return nil
}

// isWrong notes an extent that holds something else.
func (c *baseCheck) isWrong(e format.Extent) {
	c.count++
	if len(c.wrong) < shownExtents {
		c.wrong = append(c.wrong, e)
	}
}

// same tells whether an extent is the same in both.
func (c *baseCheck) same(ctx context.Context, e format.Extent, a, b io.ReaderAt) (bool, error) {
	same := true
	err := pieces(e, func(off, n int64) error {
		x, y := c.buffer(0, n), c.buffer(1, n)
		if err := readFull(ctx, a, x, off); err != nil {
			return err
		}
		if err := readFull(ctx, b, y, off); err != nil {
			return err
		}
		same = same && bytes.Equal(x, y)
		return nil
	})
	return same, err
}

// result is the error to report, if anything differed.
func (c *baseCheck) result() error {
	if c.count == 0 {
		return nil
	}
	return &BaseError{Patch: c.name, Undo: c.undo, Extents: c.wrong, Count: c.count}
}

// buffer is one of the check's buffers with room for n bytes.
func (c *baseCheck) buffer(i int, n int64) []byte {
	if int64(cap(c.buf[i])) < n {
		c.buf[i] = alignedBuffer(int(max(n, pieceSize)))
	}
	return c.buf[i][:n]
}
