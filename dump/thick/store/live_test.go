package store

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// growingStore is the store of a live snapshot, 512-byte chunks, that fills an area each time it is
// looked at.
type growingStore struct {
	mu   sync.Mutex
	d    *device
	tail int64 // the area in use; those before are full
	last int64 // the area in which growth stops
}

// newGrowingStore has tail full areas, one in use, and then what looks perfectly good: full areas
// of an earlier snapshot.
func newGrowingStore(tail, last int64) *growingStore {
	d := newDevice(1000*512, 512)
	for area := range last + 10 {
		d.fill(area, 32, 5000+uint64(area)*100)
	}
	for area := range tail {
		d.fill(area, 32, uint64(area)*100)
	}
	d.clear(tail)
	d.fill(tail, 3, uint64(tail)*100)
	return &growingStore{d: d, tail: tail, last: last}
}

// ReadAt of the area in use lets everything run first that the reader could have started by then;
// only then does the kernel zero the next area, fill this one, and go on in the next. A reader that
// starts too early is sure to get old content.
func (g *growingStore) ReadAt(p []byte, off int64) (int, error) {
	g.mu.Lock()
	grow := off == g.d.areaOffset(g.tail) && g.tail < g.last
	g.mu.Unlock()
	if grow {
		synctest.Wait()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if grow {
		g.d.clear(g.tail + 1)
		g.d.fill(g.tail, 32, uint64(g.tail)*100)
		g.tail++
		g.d.fill(g.tail, 3, uint64(g.tail)*100)
	}
	return g.d.ReadAt(p, off)
}

func TestLiveGrowth(t *testing.T) {
	const last = 6
	want := [][2]uint64{{last * 100, 3}}
	for area := range uint64(last) {
		want = append(want, [2]uint64{area * 100, 32})
	}
	for tail := range int64(4) {
		for initialised := range tail + 2 { // tail+1 is what the kernel reports
			t.Run(fmt.Sprintf("area %d in use, %d known as initialised", tail, initialised),
				func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						g := newGrowingStore(tail, last)
						s := mustOpen(t, g, g.d.size)
						wantChunks(t, mustRead(t, s, 100000*512, initialised), want...)
					})
				})
		}
	}
}

// TestLiveGrowthBites shows that the store above does catch a reader that goes too far ahead.
func TestLiveGrowthBites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGrowingStore(1, 6)
		s := mustOpen(t, g, g.d.size)
		set, err := s.Exceptions(t.Context(), 100000*512, 3) // one too many
		if err == nil && !set.Contains(5200) {
			t.Error("stale area 2 was not read, so the test above proves nothing")
		}
	})
}

// heldDisk holds reads back until they are let go together.
type heldDisk struct {
	r      io.ReaderAt
	mu     sync.Mutex
	gate   chan struct{}
	held   int
	bytes  int64
	rounds []int // reads held, each time
	most   int64 // bytes held at a time
}

func (h *heldDisk) ReadAt(p []byte, off int64) (int, error) {
	h.mu.Lock()
	gate := h.gate
	h.held++
	h.bytes += int64(len(p))
	h.mu.Unlock()
	<-gate
	return h.r.ReadAt(p, off)
}

// letGo waits until nothing more is started and lets the reads go; it reports whether there were
// any.
func (h *heldDisk) letGo() bool {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == 0 {
		return false
	}
	h.rounds = append(h.rounds, h.held)
	h.most = max(h.most, h.bytes)
	h.held, h.bytes = 0, 0
	close(h.gate)
	h.gate = make(chan struct{})
	return true
}

// TestReadAhead counts the reads under way at a time: as many as may be, one beyond the initialised
// areas, within the limit of memory. The list has ten full areas where chunks are small, none where
// they are large.
func TestReadAhead(t *testing.T) {
	tests := []struct {
		name        string
		chunk       int64
		initialised int64
		rounds      []int
		most        int64 // bytes at a time
	}{
		{"nobody writes", 512, AllAreas, []int{32, 10}, 32 * 512},
		{"only area 0 initialised", 512, 1, slices.Repeat([]int{1}, 11), 512},
		{"five areas initialised", 512, 5, []int{5, 1, 1, 1, 1, 1, 1}, 5 * 512},
		{"chunks of 512 KiB", 512 << 10, AllAreas, []int{16}, 8 << 20},
		{"chunks of 1 GiB", 1 << 30, 1, []int{8}, 8 << 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(100*(tt.chunk/entryBytes+1)*tt.chunk, tt.chunk)
				if tt.chunk == 512 {
					for area := range int64(10) {
						d.fill(area, 32, uint64(area)*32)
					}
				}
				s := mustOpen(t, d, d.size)
				disk := &heldDisk{r: d, gate: make(chan struct{})}
				s.r = disk
				var err error
				go func() { _, err = s.Exceptions(t.Context(), d.size, tt.initialised) }()
				for disk.letGo() {
				}
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.rounds, disk.rounds); diff != "" {
					t.Errorf("reads under way in each round (-want +got):\n%s", diff)
				}
				if disk.most != tt.most {
					t.Errorf("%d bytes under way, want %d", disk.most, tt.most)
				}
			})
		})
	}
}
