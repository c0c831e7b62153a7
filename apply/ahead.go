package apply

import (
	"cmp"
	"math"
	"slices"

	"lvmsync/format"
)

// An ahead reads the destination for the check of a base: what is going to be asked of it
// next, too, as much of it as fits in a buffer.
type ahead struct {
	spans
	links []*link
	asked []format.Extent // see expect
}

// ReadAt implements [io.ReaderAt].
func (a *ahead) ReadAt(b []byte, off int64) (int, error) {
	if a.copy(b, off) {
		return len(b), nil
	}
	a.expect()
	return a.spans.ReadAt(b, off)
}

// expect finds out what is going to be asked, as far as the extents of all patches are in
// memory.
func (a *ahead) expect() {
	a.asked = a.asked[:0]
	limit := int64(math.MaxInt64)
	for _, l := range a.links {
		if l.quiet {
			a.addSamples(l)
			continue
		}
		loaded, more := l.cursor.Loaded()
		last := l.cursor.Rest
		if last.HasBase {
			a.asked = append(a.asked, last.Extent)
		}
		for _, r := range loaded {
			if last = r; r.HasBase {
				a.asked = append(a.asked, r.Extent)
			}
		}
		if more {
			limit = min(limit, last.End())
		}
		a.addSamples(l)
	}
	slices.SortFunc(a.asked, func(x, y format.Extent) int { return cmp.Compare(x.Off, y.Off) })
	a.clear()
	for _, e := range a.asked {
		if e.Off < limit {
			a.add(e)
		}
	}
}

func (a *ahead) addSamples(l *link) {
	for _, s := range l.left {
		a.asked = append(a.asked, format.Extent{Off: s.Offset, Len: format.SampleSize})
	}
}
