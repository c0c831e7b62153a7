package mount

import (
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"github.com/google/uuid"

	"lvmsync/format"
)

// sparse writes the next patch of a volume of 16 TiB: all of it zeros, or so many segments,
// each with zeros and data far apart.
func (c *chain) sparse(n, segments int) {
	c.Helper()
	const size, some = 16 << 40, 128 << 10
	h := format.Header{ID: uuid.New(), Kind: format.Full, Created: when(n), VolumeSize: size,
		Granularity: 512, Source: format.Source{VG: "vg", LV: "mail", Path: "/dev/vg/mail"}}
	if n > 0 {
		h.Kind, h.Base = format.Delta, &format.Base{Patch: c.last}
	}
	c.last = h.ID
	f, err := os.Create(c.path(n))
	if err != nil {
		c.Fatal(err)
	}
	defer f.Close()
	w, err := format.NewWriter(f, h, format.WriterOptions{Level: 1})
	if err != nil {
		c.Fatal(err)
	}
	part := int64(size) / int64(segments)
	for i := range int64(segments) {
		s := w.NewSegment()
		e := format.Extent{Off: i * part, Len: part, Kind: format.Zero}
		s.Records = append(s.Records, format.Record{Extent: e})
		if n > 0 { // any place is between the two, so that each patch has to be asked about it
			s.Records[0].Len = 1 << 20
			e = format.Extent{Off: e.End() - some, Len: some}
			s.Records = append(s.Records, format.Record{Extent: e})
			s.Data = append(s.Data, make([]byte, some)...)
		}
		if err := w.Write(s); err != nil {
			c.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		c.Fatal(err)
	}
}

// A mounted chain of a hundred patches of a volume of 16 TiB takes less than 128 MiB, wherever the
// files of its first, middle and last states are read.
func TestMountMemory(t *testing.T) {
	const patches, segments, most = 100, 256, 128 << 20
	c := &chain{TB: t, dir: t.TempDir(), rnd: rand.New(rand.NewPCG(1, 16))}
	for n := range patches {
		c.sparse(n, max(1, min(n, 1)*segments))
	}
	var stats runtime.MemStats
	used := func() int64 {
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before, peak := used(), int64(0)
	m := mount(t, c.volumes())
	b := make([]byte, block)
	for _, i := range []int{0, patches / 2, patches - 1} {
		f := m.open(i)
		for n := range 60 {
			if _, err := f.ReadAt(b, c.rnd.Int64N(16<<40/block)*block); err != nil {
				t.Fatal(err)
			}
			if n%20 == 19 {
				peak = max(peak, used()-before)
			}
		}
	}
	m.want()
	t.Logf("%d MiB", peak>>20)
	if peak <= 0 || peak > most {
		t.Errorf("%d MiB of memory, more than %d", peak>>20, most>>20)
	}
}
