//go:build lvm

package lvmtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const (
	undoDisk = 8 * mib // file system for the undo patch
	destDisk = 1 * mib
)

// The power fails at any moment of a run with an undo patch. The disks' writes are recorded in one
// order, and from the record the disks are made as they were found after some of them: the undo
// patch, read from its file system, takes the destination back to the old state, and the patch
// completes it.
func TestPowerLoss(t *testing.T) {
	rnd := seeded(t)
	vg := newVG(t, "power", 1)
	p := newPair(2, destDisk)
	c := &cut{pair: p, rnd: rnd, undoDisk: plain(t, vg, "undo", undoDisk),
		destDisk: plain(t, vg, "dest", destDisk)}
	under, log := plain(t, vg, "under", undoDisk+destDisk), plain(t, vg, "log", 32*mib)
	sh(t, "mkfs.ext4", "-q", "-b", "1024", "-J", "size=1", c.undoDisk)
	put(t, c.destDisk, p.old)
	c.before = append(whole(t, c.undoDisk), p.old...)
	for _, test := range []struct {
		name  string
		cache bool // the undo patch's disk has a cache that a flush empties
		exact bool
		state func(c *cut, n int) []byte
	}{
		{"no cache", false, false, (*cut).first},
		{"cache", true, true, (*cut).some},
	} {
		t.Run(test.name, func(t *testing.T) {
			patch, _ := p.delta(t, crafting{exact: test.exact, unit: block, perSegment: 3})
			c.patch = file(t, "patch", patch)
			put(t, under, c.before)
			c.log = record(t, c.patch, under, log, test.cache)
			points := c.points(t, times(t, 5))
			for _, n := range points {
				t.Logf("after %d of %d writes", n, len(c.log))
				c.check(t, test.state(c, n))
			}
		})
	}
}

// record applies a patch with an undo patch, on disks that are parts of one whose writes go into a
// log. The destination's disk has no cache: what is written to it is there at once, so that all
// flushes are those of the undo patch's disk.
func record(t *testing.T, patch, under, log string, cache bool) []logged {
	t.Helper()
	sh(t, "blkdiscard", "-z", log)
	whole := newMapped(t, "logged-whole",
		fmt.Sprintf("0 %d log-writes %s %s", (undoDisk+destDisk)/512, under, log))
	undo := newMapped(t, "logged-undo", linear(0, undoDisk, whole.path(), 0))
	dest := newMapped(t, "logged-dest", linear(0, destDisk, whole.path(), undoDisk))
	writeThrough(t, dest)
	if !cache {
		writeThrough(t, undo)
	}
	mnt := mount(t, undo.path())
	stop := keepFlushing(t, dest.path())
	run(t, nil, "lvmsync-apply", "--undo", filepath.Join(mnt, "undo"), patch, dest.path()).want(t,
		0, "")
	stop()
	sh(t, "umount", mnt)
	for _, m := range []mapped{undo, dest, whole} { // the log is whole when the last is gone
		m.remove(t)
	}
	list, _ := readLog(t, log)
	return list
}

// writeThrough makes the kernel believe that a device has no cache, so that it never sends a flush.
func writeThrough(t *testing.T, m mapped) {
	t.Helper()
	path := "/sys/block/" + filepath.Base(dmDevice(t, m.name)) + "/queue/write_cache"
	if err := os.WriteFile(path, []byte("write through"), 0); err != nil {
		t.Fatal(err)
	}
}

// keepFlushing brings to a device at once what others write to it, until it is stopped: the kernel
// is free to do that.
func keepFlushing(t *testing.T, path string) (stop func()) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			default:
				f.Sync()
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
		f.Close()
	}
}

// A cut is what is known of a run that the power can fail in.
type cut struct {
	pair
	rnd                *rand.Rand
	undoDisk, destDisk string
	patch              string
	before             []byte // both disks
	log                []logged
}

// isDest tells whether something was written to the destination.
func (e logged) isDest() bool { return e.off >= undoDisk && len(e.data) > 0 }

// points chooses some places in the log, most of them where the destination is part-way.
func (c *cut) points(t *testing.T, count int) []int {
	t.Helper()
	first := slices.IndexFunc(c.log, logged.isDest)
	flushes, toDest := 0, 0
	for _, e := range c.log {
		if e.flush {
			flushes++
		}
		if e.isDest() {
			toDest++
		}
	}
	t.Logf("%d writes, %d of them to the destination, the first after %d; %d flushes", len(c.log),
		toDest, first, flushes)
	if first < 0 {
		t.Fatal("nothing was written to the destination")
	}
	points := []int{first, len(c.log)}
	for len(points) < count {
		points = append(points, first+c.rnd.IntN(len(c.log)-first))
	}
	slices.Sort(points)
	return points
}

// first is what the disks hold after the first n writes.
func (c *cut) first(n int) []byte {
	disks := slices.Clone(c.before)
	for _, e := range c.log[:n] {
		copy(disks[e.off:], e.data)
	}
	return disks
}

// some is what they may hold then if there is a cache: of what was not flushed, any part. What is
// written to the destination is never told to be durable before the end of the run.
func (c *cut) some(n int) []byte {
	flushed := 0
	for i, e := range c.log[:n] {
		if e.flush {
			flushed = i
		}
	}
	keepDest := []float64{1, 0.8, 0.3}[c.rnd.IntN(3)]
	disks := slices.Clone(c.before)
	for i, e := range c.log[:n] {
		keep := i < flushed || e.fua || c.rnd.IntN(2) == 0
		if e.isDest() {
			keep = c.rnd.Float64() < keepDest
		}
		if keep {
			copy(disks[e.off:], e.data)
		}
	}
	return disks
}

// check checks that there is a way back and a way on.
func (c *cut) check(t *testing.T, disks []byte) {
	t.Helper()
	half := disks[undoDisk:]
	put(t, c.undoDisk, disks[:undoDisk])
	put(t, c.destDisk, half)
	mnt := mount(t, c.undoDisk)
	undo(t, filepath.Join(mnt, "undo"), c.destDisk)
	sh(t, "umount", mnt)
	wantSum(t, c.destDisk, "the old state", c.oldSum)
	if bytes.Equal(half, c.old) {
		return
	}
	put(t, c.destDisk, half)
	run(t, nil, "lvmsync-apply", c.patch, c.destDisk).want(t, 0, "")
	wantSum(t, c.destDisk, "the new state", c.newSum)
}
