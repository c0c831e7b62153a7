package dump

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"lvmsync/format"
	"lvmsync/format/refine"
)

// StartAt leaves out of a source what lies before off, which the destination has got
// already. Where that falls within a block of the source, all of the block is sent
// again. What is left of a full patch is a delta, for it has gaps. Part of the
// fingerprint is of what was left out: without that, the rest is for nothing.
func StartAt(ctx context.Context, src Source, off int64) (Source, error) {
	h := &src.Header
	if off < 0 || off >= h.VolumeSize {
		return Source{}, fmt.Errorf("start at byte %d: the volume has %d bytes", off, h.VolumeSize)
	}
	if off -= off % max(h.Granularity, refine.BlockSize); off == 0 {
		return src, nil
	}
	var err error
	if h.Base, err = baseOfRest(ctx, src, off); err != nil {
		return Source{}, err
	}
	h.Start, h.Kind = off, format.Delta
	src.Unchanged = nil // the header has the fingerprint
	src.Extents = behind(off, src.Extents)
	if h.Planned, err = planned(ctx, src.Extents); err != nil {
		return Source{}, err
	}
	return src, nil
}

// behind yields what of the extents lies behind start.
func behind(start int64, extents iter.Seq2[format.Extent, error]) iter.Seq2[format.Extent, error] {
	return func(yield func(format.Extent, error) bool) {
		for e, err := range extents {
			if err == nil {
				if e.End() <= start {
					continue
				}
				begin := max(e.Off, start)
				e.Off, e.Len = begin, e.End()-begin
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// baseOfRest is the base of what is left of a source, with samples of what the destination must
// hold: before the start all that the volume holds now, for an earlier run has brought it; behind
// it what the patch leaves as it is.
func baseOfRest(ctx context.Context, src Source, start int64) (*format.Base, error) {
	base := new(format.Base)
	if src.Header.Base != nil {
		*base = *src.Header.Base
	}
	if src.Unchanged != nil && src.Header.Kind != format.Full {
		var err error
		base.Fingerprint, err = fingerprint(ctx, passOver{src.Unchanged}, src.Extents,
			src.Header.VolumeSize)
		if err != nil {
			return nil, err
		}
	}
	before, err := Fingerprint(ctx, src.Data, start)
	if err != nil {
		return nil, err
	}
	after := slices.DeleteFunc(slices.Clone(base.Fingerprint),
		func(s format.Sample) bool { return s.Offset < start })
	if len(before)+len(after) > format.MaxSamples {
		before, after = thinned(before), thinned(after)
	}
	base.Fingerprint = slices.Concat(before, after)
	return base, nil
}

// thinned leaves half of the largest number of samples, evenly.
func thinned(f format.Fingerprint) (left format.Fingerprint) {
	const most = format.MaxSamples / 2
	if len(f) <= most {
		return f
	}
	for i := range most {
		left = append(left, f[i*len(f)/most])
	}
	return left
}

// planned counts what the extents have.
func planned(ctx context.Context,
	extents iter.Seq2[format.Extent, error]) (*format.Planned, error) {
	n := new(format.Planned)
	for e, err := range extents {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		n.Extents++
		n.Bytes += e.Len
	}
	return n, nil
}
