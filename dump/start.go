package dump

import (
	"context"
	"fmt"
	"io"
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
	h := src.Header()
	if off < 0 || off >= h.VolumeSize {
		return nil, fmt.Errorf("start at byte %d: the volume has %d bytes", off, h.VolumeSize)
	}
	if off -= off % max(h.Granularity, refine.BlockSize); off == 0 {
		return src, nil
	}
	h.Start = off
	rest := &rest{Source: src, header: h}
	if err := rest.takeFingerprint(ctx); err != nil {
		return nil, err
	}
	if err := rest.plan(ctx); err != nil {
		return nil, err
	}
	if s, ok := src.(Summed); ok {
		return summedRest{rest, s.Sums()}, nil
	}
	return rest, nil
}

// A rest is what is left of a source.
type rest struct {
	Source
	header format.Header
}

// A summedRest is that of a [Summed] source.
type summedRest struct {
	*rest
	sums Sums
}

func (r summedRest) Sums() Sums { return r.sums }

func (r *rest) Header() format.Header { return r.header }

// LogicalBlockSize is the unit, in bytes, in which the source can be read.
func (r *rest) LogicalBlockSize() int { return int(sectorOf(r.Source)) }

func (r *rest) Extents() iter.Seq2[format.Extent, error] {
	return func(yield func(format.Extent, error) bool) {
		for e, err := range r.Source.Extents() {
			if err == nil {
				if e.End() <= r.header.Start {
					continue
				}
				begin := max(e.Off, r.header.Start)
				e.Off, e.Len = begin, e.End()-begin
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Unchanged implements [Source]: the header has the fingerprint.
func (r *rest) Unchanged() io.ReaderAt { return nil }

// takeFingerprint samples what the destination must hold: before the start all that
// the volume holds now, for an earlier run has brought it; behind it what the patch
// leaves as it is.
func (r *rest) takeFingerprint(ctx context.Context) error {
	h := &r.header
	base := new(format.Base)
	if h.Base != nil {
		*base = *h.Base
	}
	if in := r.Source.Unchanged(); in != nil && h.Kind != format.Full {
		var err error
		if base.Fingerprint, err = fingerprint(ctx, passOver{in}, r.Source.Extents(), h.VolumeSize); err != nil {
			return err
		}
	}
	if h.Kind == format.Full {
		h.Kind = format.Delta
	}
	before, err := Fingerprint(ctx, r.Source, h.Start)
	if err != nil {
		return err
	}
	behind := slices.DeleteFunc(slices.Clone(base.Fingerprint), func(s format.Sample) bool { return s.Offset < h.Start })
	if len(before)+len(behind) > format.MaxSamples {
		before, behind = thinned(before), thinned(behind)
	}
	base.Fingerprint = slices.Concat(before, behind)
	h.Base = base
	return nil
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

// plan counts what is left.
func (r *rest) plan(ctx context.Context) error {
	planned := new(format.Planned)
	for e, err := range r.Extents() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		planned.Extents++
		planned.Bytes += e.Len
	}
	r.header.Planned = planned
	return nil
}
