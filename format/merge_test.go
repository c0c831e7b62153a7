package format

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A layer is a volume of which only some bytes are known: what a patch holds, or
// several laid over one another. It's the model for Merge.
type layer struct {
	data  []byte
	known []bool
}

func newLayer(size int64) *layer {
	return &layer{data: make([]byte, size), known: make([]bool, size)}
}

// put lays an extent over what there is; nil data are zeros.
func (l *layer) put(e Extent, data []byte) {
	clear(l.data[e.Off:e.End()])
	copy(l.data[e.Off:e.End()], data)
	for i := e.Off; i < e.End(); i++ {
		l.known[i] = true
	}
}

// over lays above over l, which grows if it must.
func (l *layer) over(above *layer) *layer {
	out := newLayer(int64(max(len(l.data), len(above.data))))
	copy(out.data, l.data)
	copy(out.known, l.known)
	for i, known := range above.known {
		if known {
			out.data[i], out.known[i] = above.data[i], true
		}
	}
	return out
}

// randomExtents makes up extents of a volume: many small ones, or few large ones
// too, with and without gaps between them.
func randomExtents(rnd *rand.Rand, size int64) (extents []Extent) {
	longest := int64(SectorSize << rnd.IntN(9))
	for off := rnd.Int64N(longest) / SectorSize * SectorSize; off < size; {
		e := Extent{Off: off, Len: 1 + rnd.Int64N(longest), Kind: ExtentKind(rnd.IntN(2))}
		e.Len = min(size-off, roundToSector(e.Len))
		extents = append(extents, e)
		off = e.End()
		if rnd.IntN(3) > 0 {
			off = roundToSector(off + rnd.Int64N(longest))
		}
	}
	return extents
}

// writeRandom writes a patch of these extents, cut into segments at random, and
// lays the same over nothing.
func writeRandom(t testing.TB, rnd *rand.Rand, size int64, extents []Extent) ([]byte, *layer) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, testHeader(Delta, size), WriterOptions{Level: rnd.IntN(2)})
	if err != nil {
		t.Fatal(err)
	}
	l := newLayer(size)
	for len(extents) > 0 {
		n := min(len(extents), 1+rnd.IntN(20))
		s := w.NewSegment()
		for _, e := range extents[:n] {
			r := Record{Extent: e, HasBase: rnd.IntN(2) == 0, BaseHash: rnd.Uint64()}
			var data []byte
			if e.Kind == Data {
				data = bytes.Repeat([]byte{byte(rnd.Uint32())}, int(e.Len))
				data[rnd.IntN(len(data))] ^= 1
			}
			l.put(e, data)
			s.Records, s.Data = append(s.Records, r), append(s.Data, data...)
		}
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
		extents = extents[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), l
}

func roundToSector(n int64) int64 { return (n + SectorSize - 1) / SectorSize * SectorSize }

func open(t testing.TB, patch []byte) *File {
	t.Helper()
	f, err := OpenFile(bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// randomFiles makes some patches of a volume that may grow from one to the next.
func randomFiles(t testing.TB, rnd *rand.Rand, n int) (files []*File, layers []*layer) {
	t.Helper()
	size := 1 + rnd.Int64N(1<<(9+rnd.IntN(9)))
	for range n {
		patch, l := writeRandom(t, rnd, size, randomExtents(rnd, size))
		files, layers = append(files, open(t, patch)), append(layers, l)
		if rnd.IntN(4) == 0 {
			size += rnd.Int64N(64 << 10)
		}
	}
	return files, layers
}

// checkMerged reads a Merge to its end: segments within the limits, extents that
// ascend and never overlap, data with their hashes and no base hashes.
func checkMerged(t *testing.T, m *Merge, size int64) *layer {
	t.Helper()
	got, end := newLayer(size), int64(0)
	for {
		s, err := m.Next()
		if err == io.EOF {
			return got
		}
		if err == nil {
			err = errors.Join(checkCounts(s.Records, s.Data), checkHashes(s.Records, s.Data))
		}
		if err != nil {
			t.Fatal(err)
		}
		for r, data := range s.All() {
			if r.Off < end || r.Len < 1 || r.HasBase || r.BaseHash != 0 || r.Kind == Zero && r.Hash != 0 {
				t.Fatalf("%+v after byte %d", r, end)
			}
			end = r.End()
			got.put(r.Extent, data)
		}
	}
}

// What a Merge holds is what its patches are, laid over one another.
func TestMerge(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		files, layers := randomFiles(t, rnd, rnd.IntN(5))
		want := newLayer(0)
		for _, l := range layers {
			want = want.over(l)
		}
		m := NewMerge(files...)
		got := checkMerged(t, m, int64(len(want.data)))
		if !slices.Equal(got.known, want.known) || !bytes.Equal(got.data, want.data) {
			t.Fatalf("seed %d: %d patches, merged, differ from the same laid over one another", seed, len(files))
		}
		if _, err := m.Next(); err != io.EOF {
			t.Errorf("after the end: %v", err)
		}
	}
}

// Extents that a newer patch covers in part, in order of appearance.
func TestMergeCuts(t *testing.T) {
	old := []Extent{{0, 4096, Data}, {4096, 4096, Zero}, {16384, 8192, Data}}
	tests := map[string]struct{ newer, want []Extent }{
		"nothing":      {nil, old},
		"the same":     {old, old},
		"a hole":       {[]Extent{{1024, 512, Zero}}, []Extent{{0, 1024, Data}, {1024, 512, Zero}, {1536, 2560, Data}, old[1], old[2]}},
		"a beginning":  {[]Extent{{0, 512, Data}}, []Extent{{0, 512, Data}, {512, 3584, Data}, old[1], old[2]}},
		"an end":       {[]Extent{{20480, 8192, Data}}, []Extent{old[0], old[1], {16384, 4096, Data}, {20480, 8192, Data}}},
		"across two":   {[]Extent{{2048, 4096, Data}}, []Extent{{0, 2048, Data}, {2048, 4096, Data}, {6144, 2048, Zero}, old[2]}},
		"all":          {[]Extent{{0, 65536, Zero}}, []Extent{{0, 65536, Zero}}},
		"what is free": {[]Extent{{8192, 8192, Data}}, []Extent{old[0], old[1], {8192, 8192, Data}, old[2]}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var files []*File
			for _, extents := range [][]Extent{old, tt.newer} {
				patch, _ := writeRandom(t, rand.New(rand.NewPCG(1, 1)), 65536, extents)
				files = append(files, open(t, patch))
			}
			s, err := NewMerge(files...).Next()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, extentsOf(s.Records)); d != "" {
				t.Error(d)
			}
		})
	}
}

// An extent that fills a segment is cut where another takes some of the room, and
// a patch of the most extents stays within the limit when each of them is cut.
func TestMergeLimits(t *testing.T) {
	const sectors = 2 * MaxSegmentExtents
	for _, tt := range []struct{ below, above []Extent }{
		{[]Extent{{512, MaxSegmentData, Data}}, []Extent{{0, 512, Data}, {5 << 20, 512, Data}}},
		{dataExtents(sectors/4, 4*SectorSize), everyOther(sectors / 2)},
	} {
		rnd := rand.New(rand.NewPCG(1, 1))
		below, belowLayer := writeRandom(t, rnd, sectors*SectorSize, tt.below)
		above, aboveLayer := writeRandom(t, rnd, sectors*SectorSize, tt.above)
		got := checkMerged(t, NewMerge(open(t, below), open(t, above)), sectors*SectorSize)
		if want := belowLayer.over(aboveLayer); !bytes.Equal(got.data, want.data) {
			t.Errorf("%d extents below %d differ", len(tt.below), len(tt.above))
		}
	}
}

// A segment that is damaged behind the File's back is an error each time that a
// Merge comes to it, and never data.
func TestDamagedSegment(t *testing.T) {
	extents := []Extent{{0, 512, Data}, {1024, 1024, Zero}, {4096, 512, Data}}
	good := write(t, testHeader(Delta, 64<<10), WriterOptions{}, extents)
	bad := write(t, testHeader(Delta, 64<<10), WriterOptions{}, extents[:1], extents[1:])
	f := open(t, bad)
	bad[f.Index()[1].Offset+60] ^= 1
	for _, files := range [][]*File{{f}, {open(t, good), f}, {f, open(t, good)}} {
		m := NewMerge(files...)
		for range 2 {
			if s, err := m.Next(); s != nil || !errors.Is(err, ErrCorrupt) {
				t.Errorf("Merge: %v, %v", s, err)
			}
		}
	}
}
