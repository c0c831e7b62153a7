package volume

import (
	"testing"
)

// Two states that share a cache read a segment once between them; when one is closed, what only
// that could use makes room, and the other goes on.
func TestSharedCache(t *testing.T) {
	seen, below := watch(t, delta(t, 1<<20, data(0, 4096)))
	other, above := watch(t, delta(t, 1<<20, data(8192, 4096)))
	cache := NewCache(0)
	o := Options{Base: blank{}, BaseSize: 1 << 20, Shared: cache}
	first, second := mustOpen(t, o, below), mustOpen(t, o, below, above)
	read := func(v *Volume) {
		b := make([]byte, 1<<20)
		if n, err := v.ReadAt(b, 0); n < len(b) || b[0] != 7 {
			t.Fatalf("read %d, %v", n, err)
		}
	}
	read(first)
	read(second)
	for i, w := range []*watched{seen, other} {
		if n := w.at[below.Index()[0].Offset]; n != 1 {
			t.Errorf("segment of patch %d was read %d times", i, n)
		}
	}
	before := cache.segments[narrow].cost
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	now := cache.segments[narrow].cost
	if now <= 0 || now >= before || len(cache.tiles.entries) != 1 {
		t.Errorf("of %d bytes %d are left, %d tiles", before, now, len(cache.tiles.entries))
	}
	read(first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if cache.cost() != 0 || len(cache.files) > 0 {
		t.Errorf("left: %d segments, %d tables, %d tiles", len(cache.segments[narrow].entries),
			len(cache.tables.entries), len(cache.tiles.entries))
	}
}
