package apply

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
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

// largeChain makes up patches that each replace, as one extent, all that the one before has.
func largeChain(t *testing.T, n int) (chain [][]byte) {
	whole := format.Record{Extent: data(0, format.MaxSegmentData)}
	h := format.Header{Kind: format.Full, VolumeSize: whole.Len, Granularity: format.SectorSize}
	for i := range n {
		if i > 0 {
			whole.HasBase = true
			whole.BaseHash = xxhash.Sum64(bytes.Repeat([]byte{byte(i - 1)}, int(whole.Len)))
			h.Kind, h.Base = format.Delta, &format.Base{Exact: true, Patch: h.ID}
		}
		h.ID, h.Created = uuid.New(), time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC)
		var out bytes.Buffer
		w, err := format.NewWriter(&out, h, format.WriterOptions{Level: 1})
		if err != nil {
			t.Fatal(err)
		}
		s := w.NewSegment()
		s.Records = append(s.Records, whole)
		s.Data = append(s.Data, bytes.Repeat([]byte{byte(i)}, int(whole.Len))...)
		if err := cmp.Or(w.Write(s), w.Close()); err != nil {
			t.Fatal(err)
		}
		chain = append(chain, bytes.Clone(out.Bytes()))
	}
	return chain
}

// Of many patches of a large volume, which all have extents everywhere, a part of a segment of each
// is in memory, and what the writer has: no more where segments, and extents, are as large as they
// may be.
func TestMergeMemory(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for name, tt := range map[string]struct {
		make  func() [][]byte
		every int // so many steps there is a look at the memory
	}{
		"small":   {func() [][]byte { return sparseChain(t, rnd, 100, 12, 64<<10, 16<<40) }, 500},
		"larger":  {func() [][]byte { return sparseChain(t, rnd, 40, 3, 256<<10, 16<<40) }, 500},
		"largest": {func() [][]byte { return largeChain(t, 100) }, 1},
	} {
		t.Run(name, func(t *testing.T) { checkMergeMemory(t, tt.make(), tt.every) })
	}
}

// A watched context has look called where others look whether it is done: once a step.
type watched struct {
	context.Context
	look func()
}

func (w watched) Err() error {
	w.look()
	return w.Context.Err()
}

func checkMergeMemory(t *testing.T, chain [][]byte, every int) {
	const most = 128 << 20
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, peak, calls := m.HeapAlloc, uint64(0), 0
	ctx := watched{t.Context(), func() {
		if calls++; calls%every == 0 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}}
	mo := MergeOptions{Warn: func(string) {}, Options: merge.Options{Level: 1}}
	if _, err := Merge(ctx, namedPatches(chain), io.Discard, mo); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d steps, %d MiB", calls, (peak-before)>>20)
	if peak == 0 || peak > before+most {
		t.Errorf("%d MiB of memory in %d steps", (peak-before)>>20, calls)
	}
}
