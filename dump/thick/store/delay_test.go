//go:build lvm

package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lvmsync/dump/blockdev"
)

// BenchmarkDelayedDevice prints how many times faster a list is read from a device that takes a
// millisecond for each read, dm-delay's, than its areas are one after another.
func BenchmarkDelayedDevice(b *testing.B) {
	const chunk, areas = 4096, 400
	disk := strings.Fields(os.Getenv("LVMSYNC_TEST_DISKS"))[0]
	writeStore(b, disk, chunk, areas)
	table := fmt.Sprintf("0 %d delay %s 0 1", (areas+2)*257*chunk/sectorBytes, disk)
	dmsetup(b, "create", "cow-delay", "--table", table)
	b.Cleanup(func() { dmsetup(b, "remove", "--retry", "cow-delay") })
	dmsetup(b, "mknodes", "cow-delay")
	f, err := blockdev.Open("/dev/mapper/cow-delay")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var ahead, single time.Duration
	for b.Loop() {
		start := time.Now()
		s, err := Open(f, f.Size())
		if err != nil {
			b.Fatal(err)
		}
		set, err := s.Exceptions(b.Context(), 1<<40, AllAreas)
		if err != nil || set.GetCardinality() != areas*chunk/entryBytes {
			b.Fatalf("%v, %v", set, err)
		}
		ahead += time.Since(start)
		start = time.Now()
		buf := blockdev.AlignedBuffer(chunk)
		for area := range int64(areas + 1) {
			if _, err := f.ReadAt(buf, s.layout.areaOffset(area)); err != nil {
				b.Fatal(err)
			}
		}
		single += time.Since(start)
	}
	b.ReportMetric(single.Seconds()/ahead.Seconds(), "single/ahead")
}

func dmsetup(b *testing.B, args ...string) {
	b.Helper()
	if out, err := exec.Command("dmsetup", args...).CombinedOutput(); err != nil {
		b.Fatalf("dmsetup %q: %v\n%s", args, err, out)
	}
}

// writeStore writes header and areas of a store, and no chunks.
func writeStore(b *testing.B, path string, chunk int64, areas int64) {
	b.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	d := newDevice(1<<40, chunk)
	buf := make([]byte, chunk)
	for area := int64(-1); area <= areas; area++ {
		off := int64(0)
		if area >= 0 {
			off = d.areaOffset(area)
			clear(buf)
		}
		for i := int64(0); i < chunk/entryBytes && area >= 0 && area < areas; i++ {
			binary.LittleEndian.PutUint64(buf[i*entryBytes:], uint64(area*chunk/entryBytes+i))
			binary.LittleEndian.PutUint64(buf[i*entryBytes+8:], uint64(off/chunk+1+i))
		}
		if area < 0 {
			copy(buf, d.sectors[0][:])
		}
		if _, err := f.WriteAt(buf, off); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}
