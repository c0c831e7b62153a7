package dump

import (
	"lvmsync/format"
	"lvmsync/format/refine"
)

// whole is the strategy to send all of the extents, blocks of zeros as such.
type whole struct {
	data   Reader
	losses *losses
}

func (w *whole) willNeed(off, n int64) { w.data.WillNeed(off, n) }

func (w *whole) take(b *batch, e format.Extent) (format.Extent, error) { return b.take(e), nil }

func (w *whole) full(b *batch) bool { return b.full() }

func (w *whole) prepare(*batch) {}

func (w *whole) read(r read) error {
	for _, x := range r.records {
		if err := readExtent(w.data, r.data[:x.Len], x.Extent); err != nil {
			return err
		}
		r.data = r.data[x.Len:]
	}
	return nil
}

func (w *whole) finish(b *batch) {
	w.losses.mark(b.seg)
	splitZeros(b.seg)
}

func (w *whole) joins() bool { return false } // a batch is as large as a segment should be

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
