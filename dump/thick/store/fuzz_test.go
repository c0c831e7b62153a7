package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// FuzzExceptions checks what must hold for any store: an error or a set in range, never both; the
// same whatever is read ahead; and the same as a reader that does one entry after another.
func FuzzExceptions(f *testing.F) {
	const volume = 1000 * 512
	for _, build := range []func(d *device){
		func(d *device) {},
		func(d *device) { d.fill(0, 5, 0) },
		func(d *device) { d.fill(0, 32, 968) },
		func(d *device) { d.fill(0, 32, 100); d.fill(1, 7, 10) },
		func(d *device) { d.fill(0, 32, 100); d.fill(1, 7, 100) },
		func(d *device) { d.fill(0, 32, 100); d.fill(1, 32, 200); d.fill(2, 32, 300) },
		func(d *device) { d.put(0, 0, 1<<63, 2) },
		func(d *device) { d.put(0, 0, 1, 1<<63) },
		func(d *device) { d.put(0, 0, 1, 34) },
		func(d *device) { d.setHeader(atValid, 0) },
		func(d *device) { d.setHeader(atChunkSize, 2) },
		func(d *device) { d.setHeader(atChunkSize, 1<<21) },
		func(d *device) { d.setHeader(atMagic, 0) },
	} {
		d := newDevice(68*512, 512)
		build(d)
		f.Add(d.bytes(), int64(volume))
		f.Add(d.bytes()[:35*512], int64(volume))
	}
	f.Fuzz(func(t *testing.T, store []byte, volumeSize int64) {
		s, err := Open(bytes.NewReader(store), int64(len(store)))
		if err != nil {
			if s != nil {
				t.Fatal("a store and an error")
			}
			return
		}
		if err := s.CheckValid(); err != nil {
			t.Fatalf("CheckValid right after Open: %v", err)
		}
		set, err := s.Exceptions(t.Context(), volumeSize, AllAreas)
		setSlow, errSlow := s.Exceptions(t.Context(), volumeSize, 0)
		if (err == nil) != (errSlow == nil) || err != nil && err.Error() != errSlow.Error() {
			t.Fatalf("read ahead: %v; one after another: %v", err, errSlow)
		}
		if err != nil {
			if set != nil || setSlow != nil {
				t.Fatal("a set and an error")
			}
			if errors.Is(err, ErrCorrupt) != (volumeSize >= 0) {
				t.Fatalf("volume size %d: %v", volumeSize, err)
			}
			return
		}
		if n := set.GetCardinality(); n > 0 &&
			set.Maximum() > uint64(volumeSize-1)/uint64(s.ChunkSize()) {
			t.Fatalf("chunk %d is outside a volume of %d bytes", set.Maximum(), volumeSize)
		} else if n > uint64(len(store)/entryBytes) {
			t.Fatalf("%d chunks from a store of %d bytes", n, len(store))
		}
		if want := plainRead(store, s.ChunkSize()); !set.Equals(want) || !setSlow.Equals(want) {
			t.Fatalf("read %v and %v, want %v", set, setSlow, want)
		}
	})
}

// plainRead collects the old chunks of a good store in the simplest way.
func plainRead(store []byte, chunkBytes int64) *roaring64.Bitmap {
	set := roaring64.New()
	for area := chunkBytes; ; area += (chunkBytes/entryBytes + 1) * chunkBytes {
		for at := area; at < area+chunkBytes; at += entryBytes {
			if binary.LittleEndian.Uint64(store[at+8:]) == 0 {
				return set
			}
			set.Add(binary.LittleEndian.Uint64(store[at:]))
		}
	}
}
