package format

import (
	"bytes"
	"testing"
)

// Segments of several Files take turns in the memory of one pool, and tell how much it is.
func TestReadSegmentInto(t *testing.T) {
	p := deltaPatch()
	patch := p.bytes(t)
	var pool Pool
	var had int64
	for range 3 {
		f, err := OpenFile(bytes.NewReader(patch), int64(len(patch)))
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.ReadSegmentInto(&pool, 0)
		if err != nil {
			t.Fatal(err)
		}
		n := s.Memory()
		if n < int64(len(s.Data)) || had > 0 && n != had {
			t.Errorf("%d bytes of memory for %d of data, %d before", n, len(s.Data), had)
		}
		had = n
		s.Release()
		if s.Memory() != 0 {
			t.Error("it has memory though it was released")
		}
	}
}

// Who copies no frames need not have them summed up.
func TestNoFrameSums(t *testing.T) {
	p := deltaPatch()
	patch := p.bytes(t)
	f, err := OpenFile(bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		t.Fatal(err)
	}
	var sums [2]uint64
	for i := range sums {
		s, err := f.ReadSegmentInto(&Pool{NoFrameSums: i > 0}, 0)
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = s.FrameSum
	}
	if sums[0] == 0 || sums[1] != 0 {
		t.Errorf("sums %x", sums)
	}
}
