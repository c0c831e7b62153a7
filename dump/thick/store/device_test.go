package store

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// device is a sparse COW device in memory: what was never written reads as zeros.
type device struct {
	size, chunkBytes int64
	sectors          map[int64]*[sectorBytes]byte
}

// newDevice makes a device with a valid header and zeroed areas.
func newDevice(size, chunkBytes int64) *device {
	d := &device{size: size, chunkBytes: chunkBytes, sectors: map[int64]*[sectorBytes]byte{}}
	for i, field := range []uint32{magic, 1, version, uint32(chunkBytes / sectorBytes)} {
		binary.LittleEndian.PutUint32(d.sector(0)[4*i:], field)
	}
	return d
}

func (d *device) sector(i int64) *[sectorBytes]byte {
	if d.sectors[i] == nil {
		d.sectors[i] = new([sectorBytes]byte)
	}
	return d.sectors[i]
}

func (d *device) areaEntries() int64 { return d.chunkBytes / entryBytes }

// areaOffset is worked out apart from the code under test.
func (d *device) areaOffset(area int64) int64 {
	return d.chunkBytes + area*(d.areaEntries()+1)*d.chunkBytes
}

// put writes an entry.
func (d *device) put(area, index int64, oldChunk, newChunk uint64) {
	off := d.areaOffset(area) + index*entryBytes
	s := d.sector(off / sectorBytes)
	binary.LittleEndian.PutUint64(s[off%sectorBytes:], oldChunk)
	binary.LittleEndian.PutUint64(s[off%sectorBytes+8:], newChunk)
}

// fill writes the first n entries of an area as the kernel would, for old chunks from firstOld on.
func (d *device) fill(area, n int64, firstOld uint64) {
	firstNew := uint64(d.areaOffset(area)/d.chunkBytes) + 1
	for i := range n {
		d.put(area, i, firstOld+uint64(i), firstNew+uint64(i))
	}
}

// clear zeroes an area.
func (d *device) clear(area int64) {
	first := d.areaOffset(area) / sectorBytes
	for i := range d.chunkBytes / sectorBytes {
		delete(d.sectors, first+i)
	}
}

func (d *device) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), max(0, d.size-off)))
	clear(p[:n])
	for done := 0; done < n; {
		at := off + int64(done)
		step := min(n-done, int(sectorBytes-at%sectorBytes))
		if s := d.sectors[at/sectorBytes]; s != nil {
			copy(p[done:done+step], s[at%sectorBytes:])
		}
		done += step
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// bytes returns the whole device, of which there must not be much.
func (d *device) bytes() []byte {
	b := make([]byte, d.size)
	d.ReadAt(b, 0)
	return b
}

// mustOpen opens a store that is expected to have a good header.
func mustOpen(t testing.TB, r io.ReaderAt, size int64) *Store {
	t.Helper()
	s, err := Open(r, size)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

// mustRead reads a list that is expected to be good.
func mustRead(t testing.TB, s *Store, volumeSize, initialisedAreas int64) *roaring64.Bitmap {
	t.Helper()
	set, err := s.Exceptions(t.Context(), volumeSize, initialisedAreas)
	if err != nil {
		t.Fatalf("Exceptions(volume size %d, %d areas initialised): %v", volumeSize,
			initialisedAreas, err)
	}
	return set
}

// wantChunks compares a set with runs given as pairs of first chunk and count.
func wantChunks(t testing.TB, got *roaring64.Bitmap, runs ...[2]uint64) {
	t.Helper()
	want := roaring64.New()
	for _, r := range runs {
		want.AddRange(r[0], r[0]+r[1])
	}
	if got.Equals(want) {
		return
	}
	missing, extra := roaring64.AndNot(want, got).ToArray(), roaring64.AndNot(got, want).ToArray()
	t.Errorf("%d chunks, want %d; missing %v, extra %v", got.GetCardinality(),
		want.GetCardinality(), missing[:min(10, len(missing))], extra[:min(10, len(extra))])
}

// readCounts are the values of initialisedAreas under which a store that stands still must read the
// same.
var readCounts = []int64{-1, 0, 1, 2, 3, AllAreas}
