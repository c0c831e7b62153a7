package walk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
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
func (l *layer) put(e format.Extent, data []byte) {
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
func randomExtents(rnd *rand.Rand, size int64) (extents []format.Extent) {
	longest := int64(format.SectorSize << rnd.IntN(9))
	for off := rnd.Int64N(longest) / format.SectorSize * format.SectorSize; off < size; {
		e := format.Extent{Off: off, Len: 1 + rnd.Int64N(longest),
			Kind: format.ExtentKind(rnd.IntN(2))}
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
func writeRandom(t testing.TB, rnd *rand.Rand, size int64, extents []format.Extent) ([]byte,
	*layer) {
	t.Helper()
	var out bytes.Buffer
	w, err := format.NewWriter(&out, patchtest.Header(format.Delta, size),
		format.WriterOptions{Level: rnd.IntN(2)})
	if err != nil {
		t.Fatal(err)
	}
	l := newLayer(size)
	for len(extents) > 0 {
		n := min(len(extents), 1+rnd.IntN(20))
		s := w.NewSegment()
		for _, e := range extents[:n] {
			r := format.Record{Extent: e, HasBase: rnd.IntN(2) == 0, BaseHash: rnd.Uint64()}
			var data []byte
			if e.Kind == format.Data {
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

func roundToSector(n int64) int64 {
	return (n + format.SectorSize - 1) / format.SectorSize * format.SectorSize
}

// randomFiles makes some patches of a volume that may grow from one to the next.
func randomFiles(t testing.TB, rnd *rand.Rand, n int) (files []*format.File, layers []*layer) {
	t.Helper()
	size := 1 + rnd.Int64N(1<<(9+rnd.IntN(9)))
	for range n {
		patch, l := writeRandom(t, rnd, size, randomExtents(rnd, size))
		files, layers = append(files, patchtest.Open(t, patch)), append(layers, l)
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
			err = checkSegment(s)
		}
		if err != nil {
			t.Fatal(err)
		}
		for r, data := range s.All() {
			if r.Off < end || r.Len < 1 || r.HasBase || r.BaseHash != 0 || r.Kind == format.Zero &&
				r.Hash != 0 {
				t.Fatalf("%+v after byte %d", r, end)
			}
			end = r.End()
			got.put(r.Extent, data)
		}
	}
}

// checkSegment checks the limits of a segment, and the hashes of its data.
func checkSegment(s *format.Segment) error {
	if n := len(s.Records); n == 0 || n > format.MaxSegmentExtents ||
		len(s.Data) > format.MaxSegmentData {
		return fmt.Errorf("segment of %d extents and %d bytes", n, len(s.Data))
	}
	n := int64(0)
	for r, data := range s.All() {
		if n += int64(len(data)); r.Kind == format.Data && r.Hash != xxhash.Sum64(data) {
			return fmt.Errorf("%v: data does not match its hash", r.Extent)
		}
	}
	if n != int64(len(s.Data)) {
		return fmt.Errorf("segment with %d bytes of data for extents of %d bytes", len(s.Data), n)
	}
	return nil
}

// What a Merge holds is what its patches are, laid over one another.
func TestMerge(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		files, layers := randomFiles(t, rnd, rnd.IntN(5))
		want := newLayer(0)
		for _, l := range layers {
			want = want.over(l)
		}
		m := NewMerge(files...)
		if seed%2 == 1 { // as if there were many
			m.cursors = newCursors(&lean{room: 1 << rnd.IntN(16)}, files)
		}
		got := checkMerged(t, m, int64(len(want.data)))
		if !slices.Equal(got.known, want.known) || !bytes.Equal(got.data, want.data) {
			t.Fatalf("seed %d: %d patches, merged, differ from the same laid over one another",
				seed, len(files))
		}
		if _, err := m.Next(); err != io.EOF {
			t.Errorf("after the end: %v", err)
		}
	}
}

// Extents that a newer patch covers in part, in order of appearance.
func TestMergeCuts(t *testing.T) {
	old := []format.Extent{data(0, 4096), zero(4096, 4096), data(16384, 8192)}
	tests := map[string]struct{ newer, want []format.Extent }{
		"nothing":  {nil, old},
		"the same": {old, old},
		"a hole": {[]format.Extent{zero(1024, 512)},
			[]format.Extent{data(0, 1024), zero(1024, 512), data(1536, 2560), old[1], old[2]}},
		"a beginning": {[]format.Extent{data(0, 512)},
			[]format.Extent{data(0, 512), data(512, 3584), old[1], old[2]}},
		"an end": {[]format.Extent{data(20480, 8192)},
			[]format.Extent{old[0], old[1], data(16384, 4096), data(20480, 8192)}},
		"across two": {[]format.Extent{data(2048, 4096)},
			[]format.Extent{data(0, 2048), data(2048, 4096), zero(6144, 2048), old[2]}},
		"all": {[]format.Extent{zero(0, 65536)}, []format.Extent{zero(0, 65536)}},
		"what is free": {[]format.Extent{data(8192, 8192)},
			[]format.Extent{old[0], old[1], data(8192, 8192), old[2]}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var files []*format.File
			for _, extents := range [][]format.Extent{old, tt.newer} {
				patch, _ := writeRandom(t, rand.New(rand.NewPCG(1, 1)), 65536, extents)
				files = append(files, patchtest.Open(t, patch))
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
	const sectors = 2 * format.MaxSegmentExtents
	for _, tt := range []struct{ below, above []format.Extent }{
		{[]format.Extent{data(512, format.MaxSegmentData)},
			[]format.Extent{data(0, 512), data(5<<20, 512)}},
		{extents(sectors/4, 4*format.SectorSize, 4*format.SectorSize, format.Data),
			extents(sectors/2, 2*format.SectorSize, format.SectorSize, format.Zero)},
	} {
		rnd := rand.New(rand.NewPCG(1, 1))
		below, belowLayer := writeRandom(t, rnd, sectors*format.SectorSize, tt.below)
		above, aboveLayer := writeRandom(t, rnd, sectors*format.SectorSize, tt.above)
		got := checkMerged(t, NewMerge(patchtest.Open(t, below), patchtest.Open(t, above)),
			sectors*format.SectorSize)
		if want := belowLayer.over(aboveLayer); !bytes.Equal(got.data, want.data) {
			t.Errorf("%d extents below %d differ", len(tt.below), len(tt.above))
		}
	}
}

// A segment that is damaged behind the back of its file is an error each time that a
// Merge comes to it, and never data.
func TestDamagedSegment(t *testing.T) {
	records := recordsOf([]format.Extent{data(0, 512), zero(1024, 1024), data(4096, 512)})
	good := patchtest.Write(t, patchtest.Header(format.Delta, 64<<10), records)
	bad := patchtest.Write(t, patchtest.Header(format.Delta, 64<<10), records[:1], records[1:])
	f := patchtest.Open(t, bad)
	bad[f.Index()[1].Offset+60] ^= 1
	for _, files := range [][]*format.File{{f}, {patchtest.Open(t, good), f},
		{f, patchtest.Open(t, good)}} {
		m := NewMerge(files...)
		for range 2 {
			if s, err := m.Next(); s != nil || !errors.Is(err, format.ErrCorrupt) {
				t.Errorf("Merge: %v, %v", s, err)
			}
		}
	}
}

func extentsOf(records []format.Record) (extents []format.Extent) {
	for _, r := range records {
		extents = append(extents, r.Extent)
	}
	return extents
}

func recordsOf(extents []format.Extent) (records []format.Record) {
	for _, e := range extents {
		records = append(records, format.Record{Extent: e})
	}
	return records
}

func data(off, n int64) format.Extent { return format.Extent{Off: off, Len: n, Kind: format.Data} }
func zero(off, n int64) format.Extent { return format.Extent{Off: off, Len: n, Kind: format.Zero} }

// extents makes n of them, each of which begins so many bytes behind the one before.
func extents(n int, every, length int64, kind format.ExtentKind) []format.Extent {
	all := make([]format.Extent, n)
	for i := range all {
		all[i] = format.Extent{Off: int64(i) * every, Len: length, Kind: kind}
	}
	return all
}
