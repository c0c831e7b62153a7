package dump

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format"
)

// A badDisk is a fakeSource that can't be read in some of its blocks.
type badDisk struct {
	*fakeSource
	block int64 // in bytes; what is read at once at the least
	bad   map[int64]bool
	err   error // EIO if nil
	reads atomic.Int64
}

func (d *badDisk) source() Source {
	src := d.fakeSource.source()
	src.Data, src.SectorSize, src.Unchanged = readerAt(d.read), int(d.block), nil
	return src
}

func (d *badDisk) read(p []byte, off int64) (int, error) {
	d.reads.Add(1)
	for i := off / d.block; i*d.block < off+int64(len(p)); i++ {
		if d.bad[i] {
			clear(p)
			err := d.err
			if err == nil {
				err = unix.EIO
			}
			return len(p), fmt.Errorf("read /dev/bad at byte %d: %w", max(off, i*d.block), err)
		}
	}
	return d.fakeSource.read(p, off)
}

// lost is what must be lost of the extents that are read.
func (d *badDisk) lost(all bool) []format.Extent {
	var list []format.Extent
	for _, e := range d.extents {
		for off := e.Off; off < e.End(); {
			end := min((off/d.block+1)*d.block, e.End())
			if d.bad[off/d.block] && (all || e.Kind == format.Data) {
				if n := len(list); n > 0 && list[n-1].End() == off {
					list[n-1].Len += end - off
				} else {
					list = append(list, format.Extent{Off: off, Len: end - off, Kind: format.Zero})
				}
			}
			off = end
		}
	}
	return list
}

// dumped is what a patch holds.
type dumped struct {
	header  format.Header
	records []format.Record
	data    [][]byte
}

func readPatch(t *testing.T, patch []byte) (d dumped) {
	t.Helper()
	r, err := format.NewReader(bytes.NewReader(patch), format.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d.header = r.Header()
	for {
		s, err := r.Next()
		if err == io.EOF {
			return d
		}
		if err != nil {
			t.Fatal(err)
		}
		for x, data := range s.All() {
			d.records = append(d.records, x)
			d.data = append(d.data, bytes.Clone(data))
		}
		s.Release()
	}
}

// lost gives the lost extents, joined where they touch.
func (d dumped) lost() []format.Extent {
	var list []format.Extent
	for _, r := range d.records {
		if !r.Lost {
			continue
		}
		if n := len(list); n > 0 && list[n-1].End() == r.Off {
			list[n-1].Len += r.Len
		} else {
			list = append(list, r.Extent)
		}
	}
	return list
}

// onto lays the patch over a volume.
func (d dumped) onto(volume []byte) []byte {
	for i, r := range d.records {
		clear(volume[r.Off:r.End()])
		copy(volume[r.Off:r.End()], d.data[i])
	}
	return volume
}

// randomDisk makes a disk with random extents and bad blocks, and what its base held.
func randomDisk(rnd *rand.Rand) *badDisk {
	d := &badDisk{fakeSource: new(fakeSource), block: sector << (3 * rnd.IntN(2)),
		bad: make(map[int64]bool)}
	size := rnd.IntN(200*sector) + 1
	if rnd.IntN(10) == 0 {
		size = rnd.IntN(6*mib) + 1
	}
	d.volume = noise(size)
	for range rnd.IntN(20) {
		off := rnd.IntN(size)
		clear(d.volume[off:min(size, off+rnd.IntN(20*kib))])
	}
	// An extent begins at the end of another one, or further on.
	for off, kind := 0, format.Data; off < size; kind = format.ExtentKind(rnd.IntN(2)) {
		n := min(size-off, sector*(1+rnd.IntN(1+rnd.IntN(2*size/sector+1))))
		e := format.Extent{Off: int64(off), Len: int64(n), Kind: kind}
		off += n + sector*rnd.IntN(4)*rnd.IntN(2)
		if n := len(d.extents); n > 0 && d.extents[n-1].Kind == kind &&
			d.extents[n-1].End() == e.Off {
			continue
		}
		d.extents = append(d.extents, e)
		if kind == format.Zero {
			clear(d.volume[e.Off:e.End()])
		}
	}
	blocks := int64(size-1)/d.block + 1
	for range rnd.IntN(12) {
		first := rnd.Int64N(blocks)
		for i := range int64(1) << rnd.IntN(5) * rnd.Int64N(2) {
			d.bad[min(first+i, blocks-1)] = true
		}
		d.bad[first] = true
	}
	probed := int64(size) / probes * rnd.Int64N(probes)
	d.bad[probed/d.block] = false // else it would be taken for a device that is gone
	return d
}

// addBase makes up what the volume held, which may have been shorter. Bad sectors are
// often what it has zeros in.
func (d *badDisk) addBase(rnd *rand.Rand) {
	d.base = bytes.Clone(d.volume)
	for off := 0; off < len(d.base); off += sector {
		s := d.base[off:min(off+sector, len(d.base))]
		switch {
		case d.bad[int64(off)/d.block] && rnd.IntN(2) == 0:
			clear(s)
		case rnd.IntN(4) == 0:
			s[0] ^= 0x55
		}
	}
	if n := len(d.base) / sector * sector; rnd.IntN(3) == 0 && n > 0 {
		d.base = d.base[:rnd.IntN(n/sector)*sector]
	}
	if len(d.base) == 0 {
		d.base = make([]byte, 0, 1)
	}
}
