package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"lvmsync/format"
)

// ErrLost means that the patch has zeros for sectors that could not be read when it
// was made, which nobody has agreed to.
var ErrLost = errors.New("the patch has zeros for what could not be read when it was made")

// A LostError says where a patch has zeros for what could not be read.
type LostError struct {
	Extents []format.Extent // the first of them
	Count   int64           // how many there are
	Bytes   int64           // length of all of them
	AtLeast bool            // there may be more in what has not been read
}

// Error says how much is lost, and where.
func (e *LostError) Error() string {
	atLeast := ""
	if e.AtLeast {
		atLeast = "at least "
	}
	return fmt.Sprintf("%v: %s%s", ErrLost, atLeast, lostText(e.Extents, e.Count, e.Bytes))
}

// Unwrap makes the error match ErrLost.
func (e *LostError) Unwrap() error { return ErrLost }

func lostText(first []format.Extent, count, bytes int64) string {
	extents := "extents"
	if count == 1 {
		extents = "extent"
	}
	return fmt.Sprintf("%d bytes in %d %s, at bytes %s", bytes, count, extents, ranges(first, count))
}

// A lostCount counts the lost extents that a destination has room for.
type lostCount struct {
	size  int64 // of the destination, in bytes
	first []format.Extent
	count int64
	bytes int64
	end   int64 // of the last one
}

// add counts those of the next segment. What touches is counted as one.
func (l *lostCount) add(s *format.Segment) {
	for _, r := range s.Records {
		n := min(r.Len, l.size-r.Off)
		if !r.Lost || n <= 0 {
			continue
		}
		touches := l.count > 0 && r.Off == l.end
		l.bytes += n
		l.end = r.Off + n
		if touches {
			if l.count == int64(len(l.first)) {
				l.first[l.count-1].Len += n
			}
			continue
		}
		l.count++
		if len(l.first) < shownExtents {
			l.first = append(l.first, format.Extent{Off: r.Off, Len: n, Kind: format.Zero})
		}
	}
}

// refuse is the error to report, if anything is lost and the user has not agreed.
func (l *lostCount) refuse(accept, atLeast bool) error {
	if l.count == 0 || accept {
		return nil
	}
	return &LostError{Extents: l.first, Count: l.count, Bytes: l.bytes, AtLeast: atLeast}
}

// warn tells what has become zeros, or would.
func (l *lostCount) warn(o Options) {
	if l.count == 0 {
		return
	}
	what := "are zeros now"
	if o.DryRun {
		what = "would be zeros"
	}
	o.Warn(fmt.Sprintf("%s of %s %s, for they could not be read when the patch was made",
		lostText(l.first, l.count, l.bytes), o.Destination, what))
}

// refuseLost finds out whether anything is lost of what several patches leave
// together: what is lost in one may be in a later one.
func (c *chain) refuseLost(ctx context.Context, d *destination, o Options) error {
	hasLost := slices.ContainsFunc(c.patches, func(in *input) bool { return in.hasLost })
	if o.AcceptLost || !hasLost {
		return nil
	}
	lost := &lostCount{size: d.size}
	merge := format.NewMerge(c.files...)
	for {
		s, err := merge.Next()
		if err == io.EOF {
			return lost.refuse(o.AcceptLost, false)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		lost.add(s)
		s.Release()
	}
}

func hasLost(s *format.Segment) bool {
	return slices.ContainsFunc(s.Records, func(r format.Record) bool { return r.Lost })
}
