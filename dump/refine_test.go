package dump

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/refine"
)

const sector = 512

// newWriter gives the pool that segments come from.
func newWriter(t testing.TB) *format.Writer {
	t.Helper()
	h := format.Header{ID: uuid.New(), Kind: format.Delta, Created: time.Unix(0, 0),
		VolumeSize: 1 << 40, Granularity: sector}
	w, err := format.NewWriter(io.Discard, h, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Abort)
	return w
}

// shaped makes extents of a volume out of any bytes, two an extent: the gap
// before it and its length in sectors, its kind, which sectors are zeros.
func shaped(shape []byte) *fakeSource {
	src := new(fakeSource)
	for left := 3 * mib; len(shape) >= 2; shape = shape[2:] {
		gap, kind, pattern, n := int(shape[0]&7), format.ExtentKind(shape[0]>>7),
			shape[0]>>3&15, int(shape[1])+1
		if n *= sector; n > left || len(src.extents) == batchExtents {
			break
		}
		left -= n
		src.volume = append(src.volume, make([]byte, gap*sector)...)
		src.extents = append(src.extents,
			format.Extent{Off: int64(len(src.volume)), Len: int64(n), Kind: kind})
		for i := range n / sector {
			b := byte(1)
			if i>>2&int(pattern) != 0 || pattern == 15 {
				b = 0
			}
			src.volume = append(src.volume, bytes.Repeat([]byte{b}, sector)...)
		}
	}
	return src
}

// checkSplitZeros fills a segment from a source and has zeros looked for in it.
func checkSplitZeros(t *testing.T, w *format.Writer, src *fakeSource) {
	t.Helper()
	s := w.NewSegment()
	defer s.Release()
	for _, e := range src.extents {
		s.Records = append(s.Records, format.Record{Extent: e})
		if e.Kind == format.Data {
			s.Data = append(s.Data, src.volume[e.Off:e.End()]...)
		}
	}
	splitZeros(s)
	if len(s.Records) > format.MaxSegmentExtents {
		t.Fatalf("%d extents became %d", len(src.extents), len(s.Records))
	}
	got, end, sum := garbage(len(src.volume)), int64(0), 0
	var list []format.Extent
	for x, data := range s.All() {
		if x.Off < end || x.Len <= 0 {
			t.Fatalf("%v after %d", x.Extent, end)
		}
		end = x.End()
		sum += len(data)
		list = append(list, x.Extent)
		clear(got[x.Off:x.End()])
		copy(got[x.Off:x.End()], data)
	}
	if !bytes.Equal(got, src.expected()) || sum != len(s.Data) {
		t.Fatalf("the data of %v became other data in %v", src.extents, list)
	}
	if len(list) != len(src.extents) { // else it was left as it is
		checkSplit(t, src.volume, list)
	}
}

func TestSplitZeros(t *testing.T) {
	w := newWriter(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		shape := make([]byte, random.IntN(200))
		for i := range shape {
			shape[i] = byte(random.Uint32())
		}
		checkSplitZeros(t, w, shaped(shape))
	}
}

func FuzzSplitZeros(f *testing.F) {
	w := newWriter(f)
	f.Add([]byte{})
	f.Add([]byte{0x78, 255, 0x78, 255})             // all zeros, touching
	f.Add([]byte{0x10, 255, 0x83, 7, 0x09, 3})      // stripes, a zero extent, unaligned
	f.Add(bytes.Repeat([]byte{0x0f, 1}, 500))       // small ones
	f.Add(bytes.Repeat([]byte{0x80, 0, 0x78}, 500)) // zero extents, and zeros
	f.Fuzz(func(t *testing.T, shape []byte) { checkSplitZeros(t, w, shaped(shape)) })
}

// The largest batch that plan makes keeps to the format's limits after the worst
// that zeros can do.
func TestSplitLimits(t *testing.T) {
	if most := 2*batchExtents + batchData/refine.BlockSize; most > format.MaxSegmentExtents ||
		batchData > format.MaxSegmentData {
		t.Fatalf("a batch may become %d extents", most)
	}
	for name, extents := range map[string][]format.Extent{
		"small":  straddling(batchExtents),
		"medium": every(3*kib, kib, 3*kib*batchExtents),
		"large":  data(0, batchData),
		"odd":    data(512, batchData-512, batchData+512, 512),
	} {
		test := runTest{size: 12 * mib, stripe: 4 * kib, extents: extents}
		t.Run(name, func(t *testing.T) { checkSplitZeros(t, newWriter(t), test.fake()) })
	}
}

// Memory doesn't grow with the volume: buffers are used again and again.
func TestMemoryIsFlat(t *testing.T) {
	setProcs(t, 2)
	const size, limit = 3 << 30, 128 << 20
	src := &fakeSource{extents: data(0, size)}
	src.readAt = func(p []byte, off int64) (int, error) {
		clear(p)
		for i := 0; i < len(p) && off/batchData%4 == 0; i += 2 * refine.BlockSize {
			p[i] = 1
		}
		return len(p), nil
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Run(t.Context(), big(src), io.Discard, Options{}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > limit {
		t.Errorf("allocated %d MiB, limit %d", n>>20, limit>>20)
	}
}
