package dump

import (
	"context"
	"fmt"
	"io"
	"iter"

	"lvmsync/format"
)

// StartAt leaves out of a source what lies before off, which the destination has got
// already. Where that falls within a block of the source, all of the block is sent
// again. What is left of a full patch is a delta, for it has gaps; its fingerprint is
// of what was left out.
func StartAt(ctx context.Context, src Source, off int64) (Source, error) {
	h := src.Header()
	if off < 0 || off >= h.VolumeSize {
		return nil, fmt.Errorf("start at byte %d: the volume has %d bytes", off, h.VolumeSize)
	}
	off -= off % max(h.Granularity, format.RefineSize)
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

// takeFingerprint samples what neither the rest nor what was left out changes; of a
// full patch, what was left out.
func (r *rest) takeFingerprint(ctx context.Context) (err error) {
	h := &r.header
	base := new(format.Base)
	if h.Base != nil {
		*base = *h.Base
	}
	if h.Kind == format.Full {
		h.Kind = format.Delta
		base.Fingerprint, err = Fingerprint(ctx, r.Source, h.Start)
	} else if in := r.Source.Unchanged(); in != nil {
		base.Fingerprint, err = fingerprint(ctx, in, r.Source.Extents(), h.VolumeSize)
	}
	h.Base = base
	return err
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
