package dump

import (
	"lvmsync/format"
	"lvmsync/format/refine"
)

// splitZeros turns the blocks of zeros in the segment's data extents into zero
// extents and closes the gaps that they leave in the data.
func splitZeros(s *format.Segment) {
	if !hasZeroBlock(s) {
		return
	}
	planned := len(s.Records) // the new ones go behind them: no allocation a segment
	kept := 0
	for r, data := range s.All() {
		if r.Lost {
			s.Records = append(s.Records, r)
			continue
		}
		if r.Kind == format.Zero {
			s.Records = appendExtent(s.Records, r.Extent)
			continue
		}
		for e, d := range refine.Runs(r.Off, data, nil) {
			kept += copy(s.Data[kept:], d)
			s.Records = appendExtent(s.Records, e)
		}
	}
	s.Records = s.Records[:copy(s.Records, s.Records[planned:])]
	s.Data = s.Data[:kept]
}

// hasZeroBlock spares a segment without zeros the copying.
func hasZeroBlock(s *format.Segment) bool {
	for r, data := range s.All() {
		if r.Kind == format.Data {
			for e := range refine.Runs(r.Off, data, nil) {
				if e.Kind == format.Zero {
					return true
				}
			}
		}
	}
	return false
}

// appendExtent appends e, joined with the last one if they touch and are of one
// kind. That can't be a planned one: the last of them ends behind where the first
// new one begins.
func appendExtent(records []format.Record, e format.Extent) []format.Record {
	if n := len(records); n > 0 {
		if last := &records[n-1]; last.Kind == e.Kind && !last.Lost && last.End() == e.Off {
			last.Len += e.Len
			return records
		}
	}
	return append(records, format.Record{Extent: e})
}
