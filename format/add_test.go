package format

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
)

// What Add takes, Write does; and what it refuses leaves the segment as it is.
func TestAdd(t *testing.T) {
	record := func(off, n int64,
		kind ExtentKind) Record {
		return Record{Extent: Extent{off, n, kind}}
	}
	lost := record(8192, 512, Data)
	lost.Lost = true
	last := int64(MaxSegmentData - 512)
	for name, test := range map[string]struct {
		r    Record
		data int
		want error // nil: some other one
	}{
		"data without their extent": {record(8192, 512, Zero), 512, nil},
		"too few data":              {record(8192, 512, Data), 511, nil},
		"too many data":             {record(8192, 512, Data), 513, nil},
		"unknown kind":              {record(8192, 512, Zero+1), 0, nil},
		"empty":                     {record(8192, 0, Zero), 0, nil},
		"negative length":           {record(8192, -512, Zero), 0, nil},
		"negative offset":           {record(-512, 512, Zero), 0, nil},
		"past the largest offset":   {record(1<<63-512, 1024, Zero), 0, nil},
		"overlaps":                  {record(4096, 512, Zero), 0, nil},
		"before the one before":     {record(0, 512, Zero), 0, nil},
		"lost, with data":           {lost, 512, nil},
		"larger than a segment": {record(8192, MaxSegmentData+512, Data), MaxSegmentData + 512,
			nil},
		"larger than what is left": {record(8192, last, Data), int(last), ErrFull},
	} {
		w := startPatch(t, io.Discard)
		s := w.NewSegment()
		if err := s.Add(record(4096, 1024, Data), make([]byte, 1024)); err != nil {
			t.Fatal(err)
		}
		err := s.Add(test.r, make([]byte, test.data))
		if err == nil || errors.Is(err, ErrFull) != (test.want != nil) || len(s.Records) != 1 ||
			len(s.Data) != 1024 {
			t.Errorf("%s: %v, and it has %d extents, %d bytes",
				name, err, len(s.Records), len(s.Data))
		}
		if err := w.Write(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Add(record(1<<20, 512, Zero), nil); err == nil || s.Records != nil {
			t.Errorf("%s: added to what was handed over", name)
		}
		w.Abort()
	}
}

// A segment takes as much as the limits allow, and then says that it is full.
func TestAddFills(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, testHeader(Delta, 1<<40), WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var want []Record
	next := int64(0)
	fill := func(n int64, kind ExtentKind) (added int) {
		s := w.NewSegment()
		var data []byte
		if kind == Data {
			data = bytes.Repeat([]byte{7}, int(n))
		}
		for ; ; next += n {
			r := Record{Extent: Extent{next, n, kind}}
			if err := s.Add(r, data); errors.Is(err, ErrFull) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			want = append(want, r)
			added++
		}
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
		return added
	}
	if n := fill(SectorSize, Zero); n != MaxSegmentExtents {
		t.Errorf("%d zero extents", n)
	}
	if n := fill(1<<20, Data); n != MaxSegmentData>>20 {
		t.Errorf("%d MiB of data", n)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := readStream(&out)
	if err != nil || !slices.Equal(extentsOf(c.Records), extentsOf(want)) ||
		len(c.Data) != MaxSegmentData {
		t.Errorf("read are %d extents, %d bytes (%v)", len(c.Records), len(c.Data), err)
	}
}
