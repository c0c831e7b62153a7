package volume

import (
	"context"
	"errors"
	"testing"

	"lvmsync/format/internal/patchtest"
)

// To find a hole, segments that are full of data are not read: a volume of terabytes without
// one would have to be.
func TestHoleReadsNoDense(t *testing.T) {
	const size = 16 << 20
	patch := delta(t, size, data(0, 4<<20), data(4<<20, 4<<20), zero(8<<20, 4<<20),
		data(12<<20, 4<<20))
	v := mustOpen(t, Options{Base: blank{}, BaseSize: size}, patchtest.Open(t, patch))
	for off, want := range map[int64]int64{0: 8 << 20, 5 << 20: 8 << 20, 9 << 20: 9 << 20,
		12 << 20: size, size: size, size + 1: size} {
		if hole, err := v.Hole(t.Context(), off); hole != want || err != nil {
			t.Errorf("behind %d: %d, %v", off, hole, err)
		}
	}
	if n := len(v.cache.tables.entries); n != 1 {
		t.Errorf("%d segments were read", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Hole(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
