package store

import (
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"
)

// A bigStore is a store with so many full areas, which are made up when they are read: nothing of
// it is in memory. Old chunks lie scattered over the volume, each listed once.
type bigStore struct {
	chunks  uint64 // of the volume, a power of two
	layout  layout
	areas   int64
	latency time.Duration // of a read
	single  *sync.Mutex   // one read at a time, if not nil
}

func (s *bigStore) ReadAt(p []byte, off int64) (int, error) {
	if s.single != nil {
		s.single.Lock()
		defer s.single.Unlock()
	}
	if s.latency > 0 {
		time.Sleep(s.latency)
	}
	area := (off/s.layout.chunkBytes - 1) / (s.layout.areaEntries + 1)
	clear(p)
	if area >= s.areas {
		return len(p), nil
	}
	for i := range len(p) / entryBytes {
		n := uint64(area*s.layout.areaEntries + int64(i))
		// an odd number permutes them
		binary.LittleEndian.PutUint64(p[i*entryBytes:], n*2654435761%s.chunks)
		binary.LittleEndian.PutUint64(p[i*entryBytes+8:],
			uint64(2+area*(s.layout.areaEntries+1)+int64(i)))
	}
	return len(p), nil
}

func newBigStore(exceptions int64, chunks uint64) *bigStore {
	const chunk = 4096
	areas := exceptions / (chunk / entryBytes)
	return &bigStore{chunks: chunks, layout: newLayout((areas+2)*257*chunk, chunk), areas: areas}
}

func (s *bigStore) store() *Store {
	return &Store{r: s, size: s.layout.chunks * s.layout.chunkBytes, layout: s.layout}
}

func (s *bigStore) exceptions(b *testing.B) {
	b.Helper()
	set, err := s.store().Exceptions(b.Context(), math.MaxInt64, AllAreas)
	if err != nil || set.GetCardinality() != uint64(s.areas*s.layout.areaEntries) {
		b.Fatalf("%d exceptions: %v", set.GetCardinality(), err)
	}
}

// TestExceptionsInBatches has more exceptions than are added to the set at a time.
func TestExceptionsInBatches(t *testing.T) {
	const chunks = 1 << 19
	s := newBigStore(chunks-256, chunks)
	set, err := s.store().Exceptions(t.Context(), math.MaxInt64, AllAreas)
	if err != nil {
		t.Fatal(err)
	}
	listed := uint64(s.areas * s.layout.areaEntries)
	if listed < 3*minBatch || set.GetCardinality() != listed {
		t.Fatalf("%d chunks of %d", set.GetCardinality(), listed)
	}
	for n := range uint64(chunks) {
		if chunk := n * 2654435761 % chunks; set.Contains(chunk) != (n < listed) {
			t.Fatalf("chunk %d, the %dth: listed %v", chunk, n, n < listed)
		}
	}
	// The second half lists the chunks of the first once more.
	s = newBigStore(chunks, chunks/2)
	_, err = s.store().Exceptions(t.Context(), math.MaxInt64, AllAreas)
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.Area != chunks/2/s.layout.areaEntries ||
		corrupt.Entry != 0 {
		t.Errorf("got %v, want that of the first entry of area %d", err,
			chunks/2/s.layout.areaEntries)
	}
}

// BenchmarkHundredMillion reads a list of one hundred million exceptions of volumes of 1 TiB and 16
// TiB, and prints the memory that the process has taken by then, with the garbage collector as the
// program has it.
func BenchmarkHundredMillion(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	for _, size := range []struct {
		name   string
		chunks uint64
	}{{"1TiB", 1 << 28}, {"16TiB", 1 << 32}} {
		b.Run(size.name, func(b *testing.B) {
			s := newBigStore(100_000_000, size.chunks)
			for b.Loop() {
				s.exceptions(b)
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "MiB")
		})
	}
}

// BenchmarkLatency prints how many times faster a list is read from a device on which each read
// takes a millisecond than with one read at a time.
func BenchmarkLatency(b *testing.B) {
	var ahead, single time.Duration
	for b.Loop() {
		s := newBigStore(100_000, 1<<28)
		s.latency = time.Millisecond
		start := time.Now()
		s.exceptions(b)
		ahead += time.Since(start)
		s.single = new(sync.Mutex)
		start = time.Now()
		s.exceptions(b)
		single += time.Since(start)
	}
	b.ReportMetric(single.Seconds()/ahead.Seconds(), "single/ahead")
}
