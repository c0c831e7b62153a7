//go:build lvm

package lvmtest

import (
	"bytes"
	"fmt"
	"testing"

	"lvmsync/format"
)

// The exception store is filled to just below, at and just above the end of its areas, with each
// chunk size. The origin is no multiple of the chunk size and its last, partial chunk is among the
// changed ones. The destination begins as a copy of the snapshot that was made through a pipe.
func TestExceptionCounts(t *testing.T) {
	for _, test := range []struct {
		chunk  int64
		counts func(perArea int64) []int64
	}{
		{4 * kib, func(e int64) []int64 { return []int64{0, 1, e - 1, e, e + 1, 2 * e, 2*e + 1} }},
		{8 * kib, func(e int64) []int64 { return []int64{0, 1, e - 1, e, e + 1, 2 * e, 2*e + 1} }},
		{64 * kib, func(e int64) []int64 { return []int64{0, 1, e - 1, e, e + 1, 2 * e, 2*e + 1} }},
		// An area lists 32768 chunks of 512 KiB: only what a guest has room for.
		{512 * kib, func(int64) []int64 { return []int64{0, 1, 2, 63, 64} }},
	} {
		t.Run(fmt.Sprintf("chunks of %d KiB", test.chunk/kib), func(t *testing.T) {
			counts := test.counts(test.chunk / 16)
			checkCounts(t, test.chunk, counts)
		})
	}
}

func checkCounts(t *testing.T, chunk int64, counts []int64) {
	vg := newVG(t, "counts", 1)
	most := counts[len(counts)-1]
	originSize := most*chunk + 4*kib // the last chunk holds 4 KiB, or all of itself
	origin, snap, dest := "/dev/"+vg+"/origin", vg+"/snap", "/dev/"+vg+"/dest"
	plain(t, vg, "origin", originSize)
	plain(t, vg, "dest", originSize)
	poke(t, origin, 1, 0, chunk, originSize-512)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", fmt.Sprintf("%db", chunk), "-n", "snap",
		"-L", fmt.Sprintf("%db", storeSize(chunk, most+1)), vg+"/origin")
	transfer(t, dest, "--full", snap)
	wantSame(t, origin, dest)

	done := int64(0)
	for i, n := range counts {
		var offsets []int64
		for ; done < n; done++ {
			// From the end: the partial chunk is the first exception.
			offsets = append(offsets, (most-done)*chunk)
		}
		poke(t, origin, byte(i+2), offsets...)
		want := n * chunk
		if n > 0 {
			want += originSize - (most+1)*chunk // the last chunk is partial
		}
		patch := transfer(t, dest, snap)
		wantSame(t, origin, dest)
		if _, totals, err := format.Verify(bytes.NewReader(patch)); err != nil ||
			totals.Bytes() != want {
			t.Errorf("%d exceptions: %d bytes in the patch, want %d (%v)", n, totals.Bytes(), want,
				err)
		}
	}
}

// storeSize is the size of a COW store with room for n exceptions.
func storeSize(chunk, n int64) int64 {
	perArea := chunk / 16
	return (2 + n + n/perArea + 1) * chunk
}

// Two snapshots of one origin, of different age and chunk size, each give their own delta.
func TestTwoSnapshots(t *testing.T) {
	vg := newVG(t, "two", 1)
	origin := "/dev/two/origin"
	plain(t, vg, "origin", 6*mib)
	fill(t, origin, 1)
	for i, chunk := range []string{"4k", "64k"} {
		name := fmt.Sprintf("s%d", i)
		sh(t, "lvcreate", "-qq", "-y", "-s", "-c", chunk, "-L", "8m", "-n", name, vg+"/origin")
		sh(t, "lvcreate", "-qq", "-y", "-Wn", "-L", "6m", "-n", "d"+name, vg)
		transfer(t, "/dev/two/d"+name, "--full", vg+"/"+name)
		poke(t, origin, byte(10+i), 0, 300*kib, 1000*kib+512, 6*mib-512)
	}
	for _, name := range []string{"s0", "s1"} {
		transfer(t, "/dev/two/d"+name, vg+"/"+name)
		wantSame(t, origin, "/dev/two/d"+name)
	}
}

// A dump after more writes holds them, though nobody has dropped a cache since the first one.
func TestDumpAgain(t *testing.T) {
	origin, dest := newCopied(t, "again", 8*mib, "4k")
	var last []byte
	for round := range byte(3) {
		var offsets []int64
		for i := range int64(200) {
			offsets = append(offsets, int64(round)*2*mib+i*8*kib)
		}
		poke(t, origin, 20+round, offsets...)
		patch := transfer(t, dest, "again/snap")
		wantSame(t, origin, dest)
		if bytes.Equal(patch, last) {
			t.Errorf("round %d gave the same patch as the one before", round)
		}
		last = patch
	}
}
