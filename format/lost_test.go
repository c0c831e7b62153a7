package format

import (
	"io"
	"testing"
)

// The Writer keeps the rules of lost extents.
func TestWriteLost(t *testing.T) {
	for name, test := range map[string]struct {
		features []string
		record   Record
	}{
		"without the feature": {nil, Record{Extent: Extent{0, 512, Zero}, Lost: true}},
		"data": {[]string{LostSectors},
			Record{Extent: Extent{0, 512, Data}, Lost: true}},
		"base hash": {[]string{LostSectors},
			Record{Extent: Extent{0, 512, Zero}, Lost: true, HasBase: true}},
	} {
		h := testHeader(Delta, 64<<10)
		h.RequiredFeatures = test.features
		w, err := NewWriter(io.Discard, h, WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s := w.NewSegment()
		s.Records = append(s.Records, test.record)
		s.Data = s.Data[:test.record.Len*int64(1-test.record.Kind)]
		if err := w.Write(s); err == nil {
			t.Errorf("%s: no error", name)
		}
		w.Abort()
	}
}
