package dump

import (
	"iter"
	"slices"
	"sync"

	"lvmsync/format"
)

// Lost counts what could not be read.
type Lost struct {
	Extents int64
	Bytes   int64
}

// losses are the ranges that could not be read. There are none in a nil one. They may be used
// concurrently.
type losses struct {
	report func(format.Extent, error) // told of each; may be nil

	mu   sync.Mutex
	list []format.Extent // in ascending order, none touching the next
}

// total counts all that has been lost.
func (s *losses) total() Lost {
	if s == nil {
		return Lost{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := Lost{Extents: int64(len(s.list))}
	for _, e := range s.list {
		n.Bytes += e.Len
	}
	return n
}

// add remembers a range that is lost, and reports it.
func (s *losses) add(l loss) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := l.Extent
	from, _ := slices.BinarySearchFunc(s.list, e.Off-1, compareEnd)
	to := from
	for to < len(s.list) && s.list[to].Off <= e.End() {
		end := max(e.End(), s.list[to].End())
		e.Off = min(e.Off, s.list[to].Off)
		e.Len = end - e.Off
		to++
	}
	s.list = slices.Replace(s.list, from, to, e)
	if s.report != nil {
		s.report(l.Extent, l.err)
	}
}

// compareEnd is negative if x ends at off or before.
func compareEnd(x format.Extent, off int64) int {
	if x.End() <= off {
		return -1
	}
	return 1
}

// in returns what is lost of a range, or reaches into it.
func (s *losses) in(off, end int64) []format.Extent {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []format.Extent
	i, _ := slices.BinarySearchFunc(s.list, off, compareEnd)
	for ; i < len(s.list) && s.list[i].Off < end; i++ {
		found = append(found, s.list[i])
	}
	return found
}

// mark cuts what is lost out of a segment, all of which has been read.
func (s *losses) mark(seg *format.Segment) {
	planned := len(seg.Records)
	lost := s.in(seg.Records[0].Off, seg.Records[planned-1].End())
	if len(lost) == 0 {
		return
	}
	kept := 0
	for r, data := range seg.All() {
		if r.Kind != format.Data {
			seg.Records = append(seg.Records, r)
			continue
		}
		for part := range cut(r.Extent, lost) {
			if part.Lost {
				seg.Records = appendLost(seg.Records, planned, part)
				continue
			}
			seg.Records = append(seg.Records, part)
			kept += copy(seg.Data[kept:], data[part.Off-r.Off:part.End()-r.Off])
		}
	}
	seg.Records = seg.Records[:copy(seg.Records, seg.Records[planned:])]
	seg.Data = seg.Data[:kept]
}

// cut yields the parts of a data extent, those that are lost and those between.
func cut(e format.Extent, lost []format.Extent) iter.Seq[format.Record] {
	return func(yield func(format.Record) bool) {
		for _, l := range lost {
			from, to := max(l.Off, e.Off), min(l.End(), e.End())
			if from >= to {
				continue
			}
			good := format.Extent{Off: e.Off, Len: from - e.Off}
			if good.Len > 0 && !yield(format.Record{Extent: good}) {
				return
			}
			bad := format.Extent{Off: from, Len: to - from, Kind: format.Zero}
			if !yield(format.Record{Extent: bad, Lost: true}) {
				return
			}
			e = format.Extent{Off: to, Len: e.End() - to}
		}
		if e.Len > 0 {
			yield(format.Record{Extent: e})
		}
	}
}

// appendLost appends a lost extent, joined with the last one behind the planned if
// they touch.
func appendLost(records []format.Record, planned int, r format.Record) []format.Record {
	if n := len(records); n > planned {
		if last := &records[n-1]; last.Lost && last.End() == r.Off {
			last.Len += r.Len
			return records
		}
	}
	return append(records, r)
}
