package volume

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

// Eight readers at once read each segment once, and all the right bytes.
func TestReadersAtOnce(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 0))
	w := newWorld(t, rnd)
	for len(w.model.data) < 2<<20 {
		w = newWorld(t, rnd)
	}
	for _, cache := range []int64{0, 1 << 20} {
		w.options.Cache, w.options.AcceptLost = cache, true
		var files []*watched
		var patches []Patch
		for i, b := range w.patches {
			seen, f := watch(t, b)
			files, patches = append(files, seen), append(patches, Patch{w.names[i], f})
		}
		v := w.open(patches)
		var all sync.WaitGroup
		for reader := range uint64(8) {
			rnd := rand.New(rand.NewPCG(reader, 1))
			all.Go(func() {
				if err := w.checkAll(v, rnd, never); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for i, p := range patches {
			for _, e := range p.File.Index() {
				if n := files[i].at[e.Offset]; cache == 0 && n > 1 {
					t.Errorf("%s: segment at byte %d read %d times", p.Name, e.Offset, n)
				}
			}
		}
	}
}

// A file that fails is not corrupt, and what could not be read once is read when it can be.
func TestFailsOnce(t *testing.T) {
	seen, f := watch(t, delta(t, 1<<20, data(0, 512), data(4096, 512)))
	v := mustOpen(t, Options{Base: blank{}, BaseSize: 1 << 20}, f)
	b := make([]byte, 512)
	seen.fail = errors.New("no answer")
	_, err := v.ReadAt(b, 4096)
	var segment *SegmentError
	if !errors.Is(err, seen.fail) || errors.Is(err, format.ErrCorrupt) ||
		!errors.As(err, &segment) || segment.Segment != 1 ||
		!strings.HasPrefix(err.Error(), "patch 0: segment 1: ") {
		t.Error(err)
	}
	if _, err := v.ReadAt(b, 8192); err != nil {
		t.Errorf("beside it: %v", err)
	}
	v.running.Wait()
	seen.fail = nil
	if n, err := v.ReadAt(b, 4096); n != 512 || err != nil || b[0] != 7 {
		t.Errorf("then %d, %v", n, err)
	}
}

// Nobody waits for a segment that somebody else wants.
func TestHeldUp(t *testing.T) {
	const far = 64 << 20
	seen, f := watch(t, delta(t, 2*far, data(0, 512), data(far, 512)))
	hold := make(chan struct{})
	seen.hold[f.Index()[0].Offset] = hold
	v := mustOpen(t, Options{Base: blank{}, BaseSize: 2 * far}, f)
	held := make(chan error)
	go func() {
		_, err := v.ReadAt(make([]byte, 512), 0)
		held <- err
	}()
	for {
		seen.mu.Lock()
		n := seen.at[f.Index()[0].Offset]
		seen.mu.Unlock()
		if n > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := v.ReadAt(make([]byte, 512), far); err != nil {
		t.Error(err)
	}
	close(hold)
	if err := <-held; err != nil {
		t.Error(err)
	}
}

// What a newer patch covers isn't looked for in the others, nor what lies elsewhere.
func TestReadsNoMore(t *testing.T) {
	const size = 64 << 20
	var files []*format.File
	var seen []*watched
	for i := range int64(100) {
		w, f := watch(t, delta(t, size, data(i*4096, 4096), data(size-2<<20, 4096)))
		seen, files = append(seen, w), append(files, f)
	}
	v := mustOpen(t, Options{Base: blank{}, BaseSize: size}, files...)
	for _, w := range seen {
		clear(w.at)
	}
	b := make([]byte, 4096)
	if _, err := v.ReadAt(b, size-2<<20); err != nil || b[0] != 7 {
		t.Error(err)
	}
	reads := 0
	for i, w := range seen {
		if len(w.at) > 0 {
			reads++
		}
		if i < 99 && len(w.at) > 0 {
			t.Errorf("patch %d is read", i)
		}
	}
	if reads != 1 {
		t.Errorf("%d patches are read", reads)
	}
}

// The memory is bounded, whatever the chain.
func TestMemory(t *testing.T) {
	const (
		size  = 16 << 40
		cache = 4 << 20
		part  = 128 << 10

		segment = 1 << 20 // with what is in it, at most
	)
	rnd := rand.New(rand.NewPCG(1, 1))
	var files []*format.File
	var places [][]int64
	for range 100 {
		var records []format.Record
		var at []int64
		for off := rnd.Int64N(1<<30) * 512; off < size-part; off += rnd.Int64N(1<<33) * 512 {
			records, at = append(records, data(off, part)), append(at, off)
			off += part
		}
		patch := delta(t, size, records...)
		files, places = append(files, patchtest.Open(t, patch)), append(places, at)
	}
	v := mustOpen(t, Options{Base: blank{}, BaseSize: size, Cache: cache}, files...)
	before := heap()
	b := make([]byte, 512)
	for _, at := range places {
		for _, off := range at {
			if _, err := v.ReadAt(b, off); err != nil || b[511] != 7 {
				t.Fatalf("%d at byte %d, %v", b[511], off, err)
			}
			if e := v.Extent(off); e.Kind != format.Data || e.Len > part {
				t.Fatalf("%v at byte %d", e, off)
			}
		}
		v.running.Wait()
		if c := v.cache; c.cost() > cache {
			t.Fatalf("%d bytes, %d of tables, %d of tiles", c.cost(), c.tables.cost, c.tiles.cost)
		}
	}
	if after := heap(); after > before+cache+maxIdle*segment+cache/4 {
		t.Errorf("%d KiB of memory more for a cache of %d KiB", (after-before)>>10, cache>>10)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // a sync.Pool outlives one
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
