package volume

import (
	"context"

	"lvmsync/format"
)

// Extent tells what the volume holds from byte off on, and how far that is known to go: Zero
// where it is known to be zeros, or nothing was ever written. All else is Data, what is lost or
// can't be read for damage too: reading it tells. The next extent may be of the same kind. At
// the end of the volume, and beyond, the extent is empty.
//
// The work is bounded: it reads one segment of each patch at the most.
func (v *Volume) Extent(off int64) format.Extent { return v.extent(off, false) }

// extent does it; a rough one takes a segment that looks full of data for just that, unread.
func (v *Volume) extent(off int64, rough bool) format.Extent {
	e := format.Extent{Off: max(off, 0)}
	if e.Off >= v.size {
		return e
	}
	e.Len = v.size - e.Off
	for i := range v.layers {
		if v.narrow(&e, &v.layers[i], rough) {
			return e
		}
	}
	if e.Off >= v.baseEnd {
		e.Kind = format.Zero
	} else {
		e.Len = min(e.Len, v.baseEnd-e.Off)
	}
	return e
}

// narrow cuts e to what a layer has from its start on, and tells so, or to what it has not.
func (v *Volume) narrow(e *format.Extent, l *layer, rough bool) bool {
	cut := func(end int64) { e.Len = min(e.Len, end-e.Off) }
	if e.Off >= l.end {
		return false
	}
	index, i := l.file.Index(), l.segmentFrom(e.Off)
	if i == len(index) {
		return false
	}
	if index[i].Start > e.Off {
		cut(index[i].Start)
		return false
	}
	cut(l.end)
	if rough && l.file.LooksDense(i) {
		cut(index[i].End)
		return true
	}
	t, err := v.cache.table(place{l.file, int32(i)})
	if err != nil {
		cut(index[i].End)
		return true
	}
	x := t[t.from(e.Off)]
	if x.off > e.Off {
		cut(x.off)
		return false
	}
	cut(x.end)
	if x.data == zeros || x.data == lost && v.acceptLost {
		e.Kind = format.Zero
	}
	return true
}

// Next returns the first byte from off on that is of a kind as [Volume.Extent] tells it, or the
// size of the volume if there is none. It can take as long as reading all of what lies between:
// who can't wait so long goes by Extent.
func (v *Volume) Next(off int64, kind format.ExtentKind) int64 {
	for {
		e := v.Extent(off)
		if e.Len == 0 {
			return v.size
		}
		if e.Kind == kind {
			return e.Off
		}
		off = e.End()
	}
}

// Hole returns where zeros begin from byte off on, or the size of the volume. For one who skips
// them: it passes over those that are within a segment with hardly anything else than data, so as
// not to read these. The error is that of ctx, and comes with how far it is data.
func (v *Volume) Hole(ctx context.Context, off int64) (int64, error) {
	for {
		e := v.extent(off, true)
		if e.Len == 0 || e.Kind == format.Zero {
			return min(off, v.size), nil
		}
		off = e.End()
		if err := ctx.Err(); err != nil {
			return off, err
		}
	}
}
