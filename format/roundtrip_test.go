package format

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"
)

// roundTrips are segments of every size that matters: the smallest, whose
// frames are smaller than 256 bytes, and the largest.
var roundTrips = map[string]struct {
	size     int64
	segments [][]Extent
}{
	"no segments": {1 << 40, nil},
	"one zero":    {512, [][]Extent{{{0, 512, Zero}}}},
	"one byte":    {513, [][]Extent{{{512, 1, Data}}}},
	"small and huge": {5 << 30, [][]Extent{{{0, 4096, Data}, {8192, 512, Data},
		{1 << 20, 3 << 30, Zero}}, {{4 << 30, 700 * 512, Data}}}},
	"most data":    {5 << 20, [][]Extent{{{0, 512, Data}}, {{512, MaxSegmentData, Data}}}},
	"most extents": {16 << 20, [][]Extent{everyOther(MaxSegmentExtents)}},
	"most of both": {MaxSegmentData,
		[][]Extent{dataExtents(MaxSegmentExtents, MaxSegmentData/MaxSegmentExtents)}},
	"largest volume": {1<<63 - 1, [][]Extent{{{0, 1<<63 - 512, Zero}}, {{1<<63 - 512, 511, Data}}}},
}

func dataExtents(n int, length int64) []Extent {
	extents := make([]Extent, n)
	for i := range extents {
		extents[i] = Extent{int64(i) * length, length, Data}
	}
	return extents
}

func TestRoundTrip(t *testing.T) {
	for name, test := range roundTrips {
		t.Run(name, func(t *testing.T) {
			var want []Extent
			for _, s := range test.segments {
				want = append(want, s...)
			}
			var first *content
			for _, level := range []int{0, 1, 3, 6, 10, MaxLevel} {
				patch := write(t, testHeader(Delta, test.size), WriterOptions{Level: level},
					test.segments...)
				c, err := readStream(bytes.NewReader(patch))
				if err != nil {
					t.Fatalf("level %d: %v", level, err)
				}
				if first == nil {
					first = c
				}
				if !slices.Equal(extentsOf(c.Records), want) {
					t.Errorf("level %d: other extents than were written", level)
				}
				if !c.equal(first) {
					t.Errorf("level %d: the content differs from that of level 0", level)
				}
				fromFile, err := readFile(patch)
				if err != nil || !fromFile.equal(c) {
					t.Errorf("level %d: File differs from Reader: %v", level, err)
				}
			}
		})
	}
}

func extentsOf(records []Record) (extents []Extent) {
	for _, r := range records {
		extents = append(extents, r.Extent)
	}
	return extents
}

// TestRoundTripData compares data with what was put in, in full.
func TestRoundTripData(t *testing.T) {
	volume := make([]byte, 100_000)
	rand.NewChaCha8([32]byte{3}).Read(volume[10_000:60_000])
	var patch bytes.Buffer
	w, err := NewWriter(&patch, testHeader(Full, int64(len(volume))), WriterOptions{Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(volume); off += 8192 {
		s := w.NewSegment()
		part := volume[off:min(off+8192, len(volume))]
		s.Records = append(s.Records, Record{Extent: Extent{int64(off), int64(len(part)), Data}})
		s.Data = append(s.Data, part...)
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := readStream(iotest.OneByteReader(&patch))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.volume(), volume) {
		t.Error("the volume differs")
	}
	if want := (Totals{Segments: 13, Extents: 13, DataBytes: 100_000}); c.Totals != want {
		t.Errorf("totals %+v, want %+v", c.Totals, want)
	}
}

// TestSameBytes checks that a patch doesn't depend on how many cores made it.
func TestSameBytes(t *testing.T) {
	var segments [][]Extent
	for i := range int64(40) {
		segments = append(segments, []Extent{{i * 65536, 512 + i*1024, Data}})
	}
	for _, level := range []int{0, 1, 6} {
		h := testHeader(Delta, 1<<30)
		one := write(t, h, WriterOptions{Level: level, Concurrency: 1}, segments...)
		many := write(t, h, WriterOptions{Level: level, Concurrency: 7}, segments...)
		if !bytes.Equal(one, many) {
			t.Errorf("level %d: 7 workers write another patch than one", level)
		}
	}
}
