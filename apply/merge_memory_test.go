package apply

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/merge"
)

// sparseChain makes up deltas of a volume that follow one another, each of segments of 16 extents
// all over the volume, of part bytes each.
func sparseChain(t *testing.T, rnd *rand.Rand, n, segments int, part, size int64) (chain [][]byte) {
	const each = 16
	last := uuid.Nil
	for i := range n {
		h := format.Header{ID: uuid.New(), Kind: format.Delta, VolumeSize: size, Granularity: part,
			Created: time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC),
			Base:    &format.Base{Exact: true, Patch: last}}
		last = h.ID
		var out bytes.Buffer
		w, err := format.NewWriter(&out, h, format.WriterOptions{Level: 1})
		if err != nil {
			t.Fatal(err)
		}
		room := size / int64(segments*each) / part
		for j := range segments {
			s := w.NewSegment()
			for k := range each {
				at := (int64(j*each+k)*room + rnd.Int64N(room)) * part
				s.Records = append(s.Records, format.Record{Extent: data(at, part)})
				s.Data = append(s.Data, bytes.Repeat([]byte{byte(i)}, int(part))...)
			}
			if err := w.Write(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		chain = append(chain, bytes.Clone(out.Bytes()))
	}
	return chain
}

// Of many patches of a large volume, which all have extents everywhere, a part of a segment of each
// is in memory, and what the writer has: no more where segments are as large as they may be.
func TestMergeMemory(t *testing.T) {
	const most = 128 << 20
	for _, tt := range []struct {
		n, segments int
		part        int64
	}{{100, 12, 64 << 10}, {40, 3, 256 << 10}} {
		chain := sparseChain(t, rand.New(rand.NewPCG(1, 1)), tt.n, tt.segments, tt.part, 16<<40)
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		before, peak, calls := m.HeapAlloc, uint64(0), 0
		mo := MergeOptions{Warn: func(string) {}, Options: merge.Options{Level: 1}}
		mo.Progress = func(Stage, int64) {
			if calls++; calls%500 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
		if _, err := Merge(t.Context(), namedPatches(chain), io.Discard, mo); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d steps, %d MiB", calls, (peak-before)>>20)
		if peak == 0 || peak > before+most {
			t.Errorf("%d MiB of memory in %d steps", (peak-before)>>20, calls)
		}
	}
}
