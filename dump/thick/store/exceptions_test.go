package store

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
)

// TestExceptionsEdges has what is legal and looks odd. Chunks are 512 bytes: 32 entries an area, an
// area every 33 chunks.
func TestExceptionsEdges(t *testing.T) {
	const volume = 1000 * 512
	tests := []struct {
		name  string
		size  int64
		build func(d *device)
		want  [][2]uint64
	}{
		{"empty, area 0 ends the device", 2 * 512, func(d *device) {}, nil},
		{"old chunk 0", 40 * 512, func(d *device) { d.put(0, 0, 0, 2) }, [][2]uint64{{0, 1}}},
		{"last chunk of the volume", 40 * 512, func(d *device) { d.put(0, 0, 999, 2) },
			[][2]uint64{{999, 1}}},
		{"last chunk of the device", 40 * 512, func(d *device) { d.put(0, 0, 5, 39) },
			[][2]uint64{{5, 1}}},
		{"order as committed, not sorted", 40 * 512,
			func(d *device) { d.put(0, 0, 9, 3); d.put(0, 1, 7, 2) }, [][2]uint64{{7, 1}, {9, 1}}},
		{"new chunk 0 ends the list, whatever follows", 40 * 512, func(d *device) {
			d.put(0, 0, 3, 2)
			d.put(0, 1, 4, 0)
			d.put(0, 2, 1<<63, 1)
		}, [][2]uint64{{3, 1}}},
		{"one less than full", 40 * 512, func(d *device) { d.fill(0, 31, 100) },
			[][2]uint64{{100, 31}}},
		{"full, area 1 ends the device", 35 * 512, func(d *device) { d.fill(0, 32, 100) },
			[][2]uint64{{100, 32}}},
		{"partial chunk after area 1", 35*512 + 100, func(d *device) { d.fill(0, 32, 100) },
			[][2]uint64{{100, 32}}},
		{"one in area 1", 40 * 512, func(d *device) { d.fill(0, 32, 100); d.fill(1, 1, 7) },
			[][2]uint64{{100, 32}, {7, 1}}},
		{"old content after the end of the list", 200 * 512, func(d *device) {
			d.fill(0, 32, 100)
			d.fill(1, 2, 200)
			d.fill(2, 32, 300)
			d.fill(3, 32, 100)
		}, [][2]uint64{{100, 32}, {200, 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDevice(tt.size, 512)
			tt.build(d)
			s := mustOpen(t, readerAt(func(p []byte, off int64) (int, error) {
				if off < 0 || off > d.size-int64(len(p)) {
					t.Errorf("read of %d bytes at %d, the device has %d", len(p), off, d.size)
				}
				return d.ReadAt(p, off)
			}), d.size)
			for _, areas := range readCounts {
				wantChunks(t, mustRead(t, s, volume, areas), tt.want...)
			}
		})
	}
}

// TestExceptionsLong has more areas than are read ahead, so buffers are used again.
func TestExceptionsLong(t *testing.T) {
	const areas = 5*maxPieces + 3
	d := newDevice((1+(areas+1)*33)*512, 512)
	for i := range int64(areas) {
		d.fill(i, 32, uint64(areas-i)*1000)
	}
	s := mustOpen(t, d, d.size)
	for _, initialised := range append(readCounts, areas/2, areas, areas+1) {
		set := mustRead(t, s, math.MaxInt64, initialised)
		for i := uint64(1); i <= areas; i++ {
			if n := set.Rank(i*1000+31) - set.Rank(i*1000-1); n != 32 {
				t.Fatalf("%d chunks from %d on, want 32", n, i*1000)
			}
		}
		if set.GetCardinality() != areas*32 {
			t.Errorf("%d chunks, want %d", set.GetCardinality(), areas*32)
		}
	}
}

// TestExceptionsHugeChunks has areas that are read in several pieces, on devices of many terabytes.
func TestExceptionsHugeChunks(t *testing.T) {
	const chunk = 4 << 20
	const entries = chunk / entryBytes
	d := newDevice(math.MaxInt64, chunk)
	d.fill(0, entries, 1<<40)
	d.fill(1, entries/2+1, 7)
	s := mustOpen(t, d, d.size)
	for _, areas := range readCounts {
		wantChunks(t, mustRead(t, s, math.MaxInt64, areas), [2]uint64{1 << 40, entries},
			[2]uint64{7, entries/2 + 1})
	}
	d.put(1, entries/2, 7, 2) // in the third of four pieces
	_, err := s.Exceptions(t.Context(), math.MaxInt64, AllAreas)
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.Area != 1 || corrupt.Entry != entries/2 ||
		corrupt.Offset != d.areaOffset(1)+entries/2*entryBytes {
		t.Errorf("Exceptions: %v", err)
	}
}

func TestExceptionsReadError(t *testing.T) {
	broken := errors.New("broken disk")
	d := newDevice(1000*512, 512)
	d.fill(0, 32, 100)
	d.fill(1, 5, 200)
	for _, areas := range readCounts {
		s := mustOpen(t, failFrom(d, d.areaOffset(2), broken), d.size)
		// read ahead, never needed
		wantChunks(t, mustRead(t, s, d.size, areas), [2]uint64{100, 32}, [2]uint64{200, 5})

		s = mustOpen(t, failFrom(d, d.areaOffset(1), broken), d.size)
		set, err := s.Exceptions(t.Context(), d.size, areas)
		if !errors.Is(err, broken) || set != nil ||
			!strings.Contains(err.Error(), "area 1 at byte 17408") {
			t.Errorf("Exceptions = %v, %v, want the read's error with area and place", set, err)
		}

		// shorter than it was said to be
		s = mustOpen(t, failFrom(d, d.areaOffset(1), io.EOF), d.size)
		if _, err := s.Exceptions(t.Context(), d.size, areas); !errors.Is(err,
			io.ErrUnexpectedEOF) {
			t.Errorf("Exceptions: %v, want unexpected EOF", err)
		}
	}
}

// failFrom reads r, and fails from an offset on.
func failFrom(r io.ReaderAt, from int64, err error) io.ReaderAt {
	return readerAt(func(p []byte, off int64) (int, error) {
		if off >= from {
			return 0, err
		}
		return r.ReadAt(p, off)
	})
}

func TestExceptionsCancelled(t *testing.T) {
	d := newDevice(1000*512, 512)
	d.fill(0, 32, 100)
	s := mustOpen(t, d, d.size)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if set, err := s.Exceptions(ctx, d.size, AllAreas); !errors.Is(err, context.Canceled) ||
		set != nil {
		t.Errorf("Exceptions = %v, %v, want context.Canceled", set, err)
	}
}

// TestExceptionsCancelWaits cancels while reads are under way: Exceptions may return only after the
// last of them.
func TestExceptionsCancelWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(1000*512, 512)
		s := mustOpen(t, d, d.size)
		disk := make(chan struct{})
		s.r = readerAt(func(p []byte, off int64) (int, error) { <-disk; return d.ReadAt(p, off) })
		ctx, cancel := context.WithCancel(t.Context())
		var err error
		returned := false
		go func() {
			_, err = s.Exceptions(ctx, d.size, AllAreas)
			returned = true
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if returned {
			t.Error("returned with reads under way")
		}
		close(disk)
		synctest.Wait()
		if !returned || !errors.Is(err, context.Canceled) {
			t.Errorf("returned %t, %v, want context.Canceled", returned, err)
		}
	})
}
