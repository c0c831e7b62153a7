package dump

import (
	"io"
	"sync"
	"testing"

	"lvmsync/format"
)

// A toldReader remembers what it was told will be read.
type toldReader struct {
	Reader
	mu   sync.Mutex
	told []format.Extent
}

func (s *toldReader) WillNeed(off, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, format.Extent{Off: off, Len: n})
}

// The kernel is told of all that will be read, and of no gap that is worth a call.
func TestAnnounce(t *testing.T) {
	const size = 12 * mib
	for name, test := range map[string]struct {
		extents     []format.Extent
		told, calls int64
	}{
		"one extent":     {data(0, size), size, size / batchData},
		"at the end":     {data(size-4*kib, 4*kib), 4 * kib, 1},
		"small gaps":     {every(8*kib, 4*kib, mib), mib - 4*4*kib, 4},
		"large gaps":     {every(64*kib, 4*kib, size), size / 16, size / (64 * kib)},
		"a gap too many": {data(0, 4*kib, 20*kib+512, 4*kib), 8 * kib, 2},
		"one that fits":  {data(0, 4*kib, 20*kib, 4*kib), 24 * kib, 1},
	} {
		t.Run(name, func(t *testing.T) {
			src := (&fakeSource{volume: noise(size), extents: test.extents}).source()
			in := &toldReader{Reader: src.Data}
			src.Data = in
			if _, err := Run(t.Context(), src, io.Discard, Options{}); err != nil {
				t.Fatal(err)
			}
			bytes := int64(0)
			for _, e := range in.told {
				bytes += e.Len
			}
			if bytes != test.told || int64(len(in.told)) != test.calls {
				t.Errorf("told of %d bytes in %d calls, want %d in %d", bytes, len(in.told),
					test.told, test.calls)
			}
			for _, e := range test.extents {
				if !covered(e, in.told) {
					t.Errorf("%v was not announced", e)
				}
			}
		})
	}
}

// covered tells whether the list, in ascending order, has all of e.
func covered(e format.Extent, list []format.Extent) bool {
	for _, x := range list {
		if x.Off <= e.Off && e.Off < x.End() {
			e.Off, e.Len = x.End(), e.End()-x.End()
		}
	}
	return e.Len <= 0
}
