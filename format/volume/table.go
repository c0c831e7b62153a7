package volume

import (
	"sort"

	"lvmsync/format"
)

// A table has the extents of a segment, in order.
type table []entry

// An entry is an extent of a segment.
type entry struct {
	off, end int64 // in the volume
	data     int32 // where its data begin in the segment's, or one of the following
}

// What there is instead of data.
const (
	zeros = -1 - iota
	lost  // zeros that stand for what nobody knows
)

func newTable(records []format.Record) table {
	t := make(table, len(records))
	at := int64(0)
	for i, r := range records {
		t[i] = entry{r.Off, r.End(), zeros}
		switch {
		case r.Kind == format.Data:
			t[i].data = int32(at)
			at += r.Len
		case r.Lost:
			t[i].data = lost
		}
	}
	return t
}

// from is the first entry that ends behind off.
func (t table) from(off int64) int {
	return sort.Search(len(t), func(i int) bool { return t[i].end > off })
}

// dataAt is where the data of the byte at off begin, which is in the extent.
func (e entry) dataAt(off int64) int32 {
	if e.data < 0 {
		return e.data
	}
	return e.data + int32(off-e.off)
}

// segmentFrom is the first segment of the layer that ends behind off.
func (l *layer) segmentFrom(off int64) int {
	index := l.file.Index()
	return sort.Search(len(index), func(i int) bool { return index[i].End > off })
}
