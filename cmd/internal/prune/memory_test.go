package prune

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/apply"
	"lvmsync/format"
	"lvmsync/format/archive/retention"
)

// writeSparse writes patches of a volume of 16 TiB that follow one another, the first full, each
// of extents all over the volume.
func writeSparse(t *testing.T, dir string, n int) {
	const size, segments, each, part = 16 << 40, 4, 16, 64 << 10
	const room = size / (segments * each) / part
	rnd, last := rand.New(rand.NewPCG(1, 1)), uuid.Nil
	for i := range n {
		h := format.Header{ID: uuid.New(), Kind: format.Delta, VolumeSize: size, Granularity: part,
			Created: time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC),
			Source:  format.Source{LVUUID: "V"}, Base: &format.Base{Exact: true, Patch: last}}
		if i == 0 {
			h.Kind, h.Base = format.Full, nil
		}
		last = h.ID
		var out bytes.Buffer
		w, err := format.NewWriter(&out, h, format.WriterOptions{Level: 1})
		if err != nil {
			t.Fatal(err)
		}
		end := int64(0)
		for j := range segments {
			s := w.NewSegment()
			add := func(e format.Extent) { s.Records = append(s.Records, format.Record{Extent: e}) }
			for k := range each {
				at := (int64(j*each+k)*room + rnd.Int64N(room)) * part
				if i == 0 && at > end {
					add(format.Extent{Off: end, Len: at - end, Kind: format.Zero})
				}
				add(format.Extent{Off: at, Len: part})
				s.Data = append(s.Data, bytes.Repeat([]byte{byte(i)}, part)...)
				end = at + part
			}
			if i == 0 && j == segments-1 && end < size {
				add(format.Extent{Off: end, Len: size - end, Kind: format.Zero})
			}
			if err := w.Write(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprintf("%03d", i))
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// However long the chain and however large the volume, little is in memory at once.
func TestMemory(t *testing.T) {
	const most = 128 << 20
	h := &history{dir: t.TempDir(), now: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	writeSparse(t, h.dir, 100)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, peak, calls := m.HeapAlloc, uint64(0), 0
	o := options()
	o.Progress = func(apply.Stage, int64) {
		if calls++; calls%500 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
	a, plan := h.plan(t, retention.Policy{Last: 1})
	done, err := Run(t.Context(), a, plan, o)
	if err != nil || done.Removed != 99 {
		t.Fatalf("%+v: %v", done, err)
	}
	t.Logf("%d steps, %d MiB", calls, (peak-before)>>20)
	if peak == 0 || peak > before+most {
		t.Errorf("%d MiB of memory in %d steps", (peak-before)>>20, calls)
	}
}
