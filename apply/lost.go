package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"lvmsync/format"
	"lvmsync/format/walk"
)

// ErrLost means that the patch has zeros for sectors that could not be read when it
// was made, which nobody has agreed to.
var ErrLost = errors.New("the patch has zeros for what could not be read when it was made")

// Lost is what a patch has zeros for because it could not be read when it was made.
type Lost struct {
	Extents []format.Extent // the first of them
	Count   int64           // how many there are; what touches is one
	Bytes   int64           // length of all of them
}

// String says how much is lost, and where.
func (l Lost) String() string {
	extents := "extents"
	if l.Count == 1 {
		extents = "extent"
	}
	return fmt.Sprintf("%d bytes in %d %s, at bytes %s",
		l.Bytes, l.Count, extents, ranges(l.Extents, l.Count))
}

// A LostError says where a patch has zeros for what could not be read.
type LostError struct {
	Lost
	AtLeast bool // there may be more in what has not been read
}

// Error says how much is lost, and where.
func (e *LostError) Error() string {
	atLeast := ""
	if e.AtLeast {
		atLeast = "at least "
	}
	return fmt.Sprintf("%v: %s%v", ErrLost, atLeast, e.Lost)
}

// Unwrap makes the error match ErrLost.
func (e *LostError) Unwrap() error { return ErrLost }

// A lostCount counts the lost extents that a volume, or a destination, has room for.
type lostCount struct {
	Lost
	size int64 // of the volume, in bytes
	end  int64 // of the last extent
}

// add counts those of the next segment.
func (l *lostCount) add(s *format.Segment) {
	for _, r := range s.Records {
		n := min(r.Len, l.size-r.Off)
		if !r.Lost || n <= 0 {
			continue
		}
		touches := l.Count > 0 && r.Off == l.end
		l.Bytes += n
		l.end = r.Off + n
		if touches {
			if l.Count == int64(len(l.Extents)) {
				l.Extents[l.Count-1].Len += n
			}
			continue
		}
		l.Count++
		if len(l.Extents) < shownExtents {
			l.Extents = append(l.Extents, format.Extent{Off: r.Off, Len: n, Kind: format.Zero})
		}
	}
}

// refuse is the error to report, if anything is lost and the user has not agreed.
func (l *lostCount) refuse(accept, atLeast bool) error {
	if l.Count == 0 || accept {
		return nil
	}
	return &LostError{Lost: l.Lost, AtLeast: atLeast}
}

// warn tells what has become zeros, or would.
func (l *lostCount) warn(o Options) {
	if l.Count == 0 {
		return
	}
	what := "are zeros now"
	if o.DryRun {
		what = "would be zeros"
	}
	o.Warn(fmt.Sprintf("%v of %s %s, for they could not be read when the patch was made",
		l.Lost, o.Destination, what))
}

// warnVerified tells of what is right but for that, and is refused unless the user agrees.
func (l Lost) warnVerified(what string, o Options) {
	if l.Count > 0 {
		o.Warn(fmt.Sprintf("%v could not be read when %s made: zeros stand there, "+
			"and lvmsync-apply needs --accept-lost-sectors", l, what))
	}
}

// refuseLost finds out whether anything is lost of what several patches leave
// together.
func (c *chain) refuseLost(ctx context.Context, d *destination, o Options) error {
	if o.AcceptLost {
		return nil
	}
	lost, err := c.lost(ctx, d.size)
	if err != nil {
		return err
	}
	return lost.refuse(false, false)
}

// lost counts what is lost in the end, in a volume of that size: what is lost in one
// patch may be in a later one.
func (c *chain) lost(ctx context.Context, size int64) (*lostCount, error) {
	lost := &lostCount{size: size}
	if !slices.ContainsFunc(c.patches, func(in *input) bool { return in.lost.Count > 0 }) {
		return lost, nil
	}
	merge := walk.NewMerge(c.files...)
	for {
		s, err := merge.Next()
		if err == io.EOF {
			return lost, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		lost.add(s)
		s.Release()
	}
}
