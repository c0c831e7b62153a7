package format

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lossy writes a patch that may have lost extents. What is of the kind Zero is lost.
func lossy(t *testing.T, extents ...Extent) *File {
	t.Helper()
	h := testHeader(Delta, 64<<10)
	h.RequiredFeatures = []string{LostSectors}
	var out bytes.Buffer
	w, err := NewWriter(&out, h, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := w.NewSegment()
	for _, e := range extents {
		s.Records = append(s.Records, Record{Extent: e, Lost: e.Kind == Zero})
		if e.Kind == Data {
			s.Data = append(s.Data, bytes.Repeat([]byte{7}, int(e.Len))...)
		}
	}
	if err := w.Write(s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The parts of lost extents that no later patch has stay lost; what a later one has
// lost is.
func TestMergeLost(t *testing.T) {
	old := lossy(t, Extent{0, 8192, Zero}, Extent{8192, 4096, Data}, Extent{16384, 512, Zero})
	plain := write(t, testHeader(Delta, 64<<10), WriterOptions{}, []Extent{{2048, 1024, Data}, {4096, 512, Zero}, {16384, 512, Zero}})
	middle, err := OpenFile(bytes.NewReader(plain), int64(len(plain)))
	if err != nil {
		t.Fatal(err)
	}
	m := NewMerge(old, middle, lossy(t, Extent{8192, 512, Zero}))
	s, err := m.Next()
	if err != nil {
		t.Fatal(err)
	}
	var lost, kept []Extent
	for _, r := range s.Records {
		if r.Lost {
			lost = append(lost, r.Extent)
		} else {
			kept = append(kept, r.Extent)
		}
	}
	if d := cmp.Diff([]Extent{{0, 2048, Zero}, {3072, 1024, Zero}, {4608, 3584, Zero}, {8192, 512, Zero}}, lost); d != "" {
		t.Errorf("lost (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]Extent{{2048, 1024, Data}, {4096, 512, Zero}, {8704, 3584, Data}, {16384, 512, Zero}}, kept); d != "" {
		t.Errorf("not lost (-want +got):\n%s", d)
	}
	if _, err := m.Next(); err != io.EOF {
		t.Errorf("then %v", err)
	}
}

// The Writer keeps the rules of lost extents.
func TestWriteLost(t *testing.T) {
	for name, test := range map[string]struct {
		features []string
		record   Record
	}{
		"without the feature": {nil, Record{Extent: Extent{0, 512, Zero}, Lost: true}},
		"data":                {[]string{LostSectors}, Record{Extent: Extent{0, 512, Data}, Lost: true}},
		"base hash":           {[]string{LostSectors}, Record{Extent: Extent{0, 512, Zero}, Lost: true, HasBase: true}},
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
