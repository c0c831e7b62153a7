package dump

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"lvmsync/format"
)

// Whatever sectors are bad in whatever extents: they and nothing else are lost, the
// rest is as without them.
func TestLostModel(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		d := randomDisk(rnd)
		exact := rnd.IntN(2) == 0
		if exact {
			d.addBase(rnd)
		}
		if !checkLost(t, d, exact) {
			t.Fatalf("seed %d", seed)
		}
	}
}

func checkLost(t *testing.T, d *badDisk, exact bool) bool {
	t.Helper()
	want := d.lost(exact)
	reported := int64(0)
	var out bytes.Buffer
	report, err := Run(t.Context(), d.source(), &out, Options{ExactBase: exact,
		ZeroUnreadable: true, Level: 1, Unreadable: func(e format.Extent, err error) {
			if reported += e.Len; !errors.Is(err, unix.EIO) {
				t.Errorf("%v is lost by %v", e, err)
			}
		}})
	if err != nil {
		t.Error(err)
		return false
	}
	p := readPatch(t, out.Bytes())
	bytesLost := int64(0)
	for _, e := range want {
		bytesLost += e.Len
	}
	switch got := p.lost(); {
	case !slices.Equal(got, want):
		t.Errorf("lost: %v, want %v", got, want)
	case report.Lost != Lost{int64(len(want)), bytesLost} || reported != bytesLost:
		t.Errorf("report: %v, %d bytes; want %d in %d extents", report.Lost, reported,
			bytesLost, len(want))
	case !slices.Equal(p.header.RequiredFeatures, []string{format.LostSectors}):
		t.Errorf("required features: %v", p.header.RequiredFeatures)
	}
	start := garbage(len(d.volume))
	if exact {
		copy(start, d.base)
	}
	shall := bytes.Clone(start)
	for _, e := range d.extents {
		copy(shall[e.Off:e.End()], d.volume[e.Off:e.End()])
	}
	for _, e := range want {
		clear(shall[e.Off:e.End()])
	}
	if !bytes.Equal(p.onto(start), shall) {
		t.Error("the patch leads to another volume")
	}
	for _, r := range p.records {
		if r.HasBase && r.BaseHash != xxhash.Sum64(d.base[r.Off:r.End()]) {
			t.Errorf("%v has another base hash", r.Extent)
		}
		if exact && !r.Lost && r.End() <= int64(len(d.base)) && !r.HasBase {
			t.Errorf("%v has no base hash", r.Extent)
		}
	}
	return !t.Failed()
}

// Every other sector of a batch is bad: that makes the most extents.
func TestLostMost(t *testing.T) {
	for name, extents := range map[string][]format.Extent{
		"one":           data(0, 2*batchData),
		"a full table":  every(3*kib, kib, 3*kib*batchExtents),
		"between zeros": between(batchExtents),
	} {
		t.Run(name, func(t *testing.T) {
			d := &badDisk{fakeSource: &fakeSource{volume: noise(8 * mib), extents: extents},
				block: sector, bad: map[int64]bool{}}
			for _, e := range extents {
				if e.Kind == format.Zero {
					clear(d.volume[e.Off:e.End()])
				}
			}
			for i := int64(1); i < 8*mib/sector; i += 2 {
				d.bad[i] = true
			}
			checkLost(t, d, false)
			d.base = noise(8 * mib)
			d.base[0] ^= 1
			checkLost(t, d, true)
		})
	}
}

// between lists extents of two sectors and zero extents between them.
func between(n int64) []format.Extent {
	var list []format.Extent
	for i := range n {
		list = append(list, format.Extent{Off: i * 2 * kib, Len: kib},
			format.Extent{Off: i*2*kib + kib, Len: kib, Kind: format.Zero})
	}
	return list
}

// A bad sector of a large extent costs a few reads, not one for each sector.
func TestLostReads(t *testing.T) {
	d := &badDisk{fakeSource: &fakeSource{volume: noise(batchData), extents: data(0, batchData)},
		block: sector, bad: map[int64]bool{777: true}}
	checkLost(t, d, false)
	if n := d.reads.Load(); n > 30 {
		t.Errorf("%d reads", n)
	}
}
