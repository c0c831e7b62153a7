package apply

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

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
	skip bool

	wrong []format.Extent // the first that hold something else
	count int64           // of them
	zeros zeroExtents
	buf   [3][]byte
}

// newBaseCheck prepares to check the base of the patch with that header.
func newBaseCheck(d *destination, h format.Header, skip bool) *baseCheck {
	c := &baseCheck{dest: d, skip: skip, zeros: zeroExtents{dest: d}}
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

// samples compares the fingerprint of a patch with before, which is what the
// destination will hold when the patch's turn comes. Where later patches write,
// an interrupted run may have been already: what they touch says nothing.
func (c *baseCheck) samples(ctx context.Context, h format.Header, before io.ReaderAt, later []*format.File) error {
	if c.skip || h.Base == nil {
		return nil
	}
	if c.dest.isNew() {
		later = nil
	}
	var mu sync.Mutex
	e := &BaseError{Patch: c.name}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(1)
	if before == io.ReaderAt(c.dest) {
		g.SetLimit(parallelReads)
	}
	for _, s := range h.Base.Fingerprint {
		if s.Offset+format.SampleSize > c.dest.size {
			continue // cut off
		}
		g.Go(func() error {
			b := make([]byte, format.SampleSize)
			if err := readFull(ctx, before, b, s.Offset); err != nil {
				return err
			}
			touched := false
			if !s.Holds(b) {
				for _, f := range later {
					hit, err := f.Touches(s.Offset, format.SampleSize)
					if err != nil {
						return err
					}
					touched = touched || hit
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if !touched {
				e.Of++
				if !s.Holds(b) {
					e.Samples++
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if e.Samples > 0 {
		return e
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
	c.zeros.of(s)
	return c.compare(ctx, s, old, &c.zeros)
}

// compare does the same if old, which lies in step with the data of the segment, and
// zeros are what the destination holds.
func (c *baseCheck) compare(ctx context.Context, s *format.Segment, old []byte, zeros *zeroExtents) error {
	for r, data := range s.All() {
		var is, shall io.ReaderAt = zeros, zeroReader{}
		if r.Kind == format.Data {
			is, shall = inMemory{old[:r.Len], r.Off}, inMemory{data, r.Off}
			old = old[r.Len:]
		}
		if err := c.record(ctx, r, is, is, []io.ReaderAt{shall}); err != nil {
			return err
		}
	}
	return nil
}

// records compares before, which is what the destination will hold when the
// patch's turn comes, with the base hashes of a segment. After are the states that
// this patch and those behind it lead to.
func (c *baseCheck) records(ctx context.Context, s *format.Segment, before io.ReaderAt, after []io.ReaderAt) error {
	old := c.buffer(2, int64(len(s.Data)))
	rest := old
	for e, data := range runs(s) {
		if e.Kind == format.Zero {
			continue
		}
		if err := readFull(ctx, before, rest[:max(0, min(e.Len, c.dest.size-e.Off))], e.Off); err != nil {
			return err
		}
		rest = rest[len(data):]
	}
	for _, r := range s.Records {
		held := before
		if r.Kind == format.Data {
			held = inMemory{old[:r.Len], r.Off}
			old = old[r.Len:]
		}
		if err := c.record(ctx, r, held, c.dest, after); err != nil {
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

// record compares before with the base hash of one extent. If that differs, what is on
// the destination may be already what it shall hold: an earlier run was interrupted, or
// got as far as one of the states that follow.
func (c *baseCheck) record(ctx context.Context, r format.Record, before, is io.ReaderAt, after []io.ReaderAt) error {
	if c.skip || !r.HasBase || r.End() > c.dest.size {
		return nil
	}
	sum := xxhash.NewWithSeed(c.seed)
	err := pieces(r.Extent, func(off, n int64) error {
		b := c.buffer(0, n)
		err := readFull(ctx, before, b, off)
		sum.Write(b)
		return err
	})
	if err != nil || sum.Sum64() == r.BaseHash {
		return err
	}
	if c.dest.isNew() {
		after = nil
	}
	for _, state := range after {
		if same, err := c.same(ctx, r.Extent, is, state); same || err != nil {
			return err
		}
	}
	c.count++
	if len(c.wrong) < shownExtents {
		c.wrong = append(c.wrong, r.Extent)
	}
	return nil
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
	return &BaseError{Patch: c.name, Extents: c.wrong, Count: c.count}
}

// buffer is one of the check's buffers with room for n bytes.
func (c *baseCheck) buffer(i int, n int64) []byte {
	if int64(cap(c.buf[i])) < n {
		c.buf[i] = alignedBuffer(int(max(n, pieceSize)))
	}
	return c.buf[i][:n]
}
