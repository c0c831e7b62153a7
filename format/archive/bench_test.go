package archive

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

// snapshotUUID is a UUID as LVM writes it.
func snapshotUUID(i int) string {
	x := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, i)))
	return x[:6] + "-" + x[6:10] + "-" + x[10:14] + "-" + x[14:18] + "-" + x[18:22] + "-" +
		x[22:26] + "-" + x[26:32]
}

// nightly is the header of the patch of night i, with so many snapshots kept. If it is named, it
// tells what snapshot it leads to, and what it starts from; or else nothing but times link it.
func nightly(i, snapshots int, named bool) format.Header {
	h := patchtest.Header(format.Delta, 1<<30)
	h.ID = uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i))
	h.Created = hour(0).Add(time.Duration(i) * 24 * time.Hour)
	h.Tool, h.ToolVersion, h.Host = "lvmsync-dump", "0.1.0", "host"
	h.Source = format.Source{Type: "thick", VG: "vg", LV: "mail", LVUUID: snapshotUUID(-1),
		VGUUID: snapshotUUID(-2), Snapshot: "night", SnapshotUUID: snapshotUUID(i),
		Path: "/dev/vg/night"}
	for k := range snapshots {
		h.Source.Snapshots = append(h.Source.Snapshots, snapshotUUID(i-k))
	}
	if named {
		h.State = &format.State{Snapshot: snapshotUUID(i), SnapshotCreated: h.Created}
	}
	switch {
	case i == 0:
		h.Kind = format.Full
	case named:
		h.Base = &format.Base{Snapshot: snapshotUUID(i - 1),
			SnapshotCreated: h.Created.Add(-24 * time.Hour)}
	}
	return h
}

// many writes the patches of n nights, each to a file of its own.
func many(t testing.TB, n, snapshots int, named bool) string {
	dir := t.TempDir()
	for i := range n {
		h := nightly(i, snapshots, named)
		records := []format.Record{{Extent: format.Extent{Len: 8192}}}
		if i == 0 {
			records[0].Extent = format.Extent{Len: 1 << 30, Kind: format.Zero}
		}
		file := filepath.Join(dir, fmt.Sprintf("%05d.lvmpatch", i))
		if err := os.WriteFile(file, patchtest.Write(t, h, records), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Reading a folder against looking at each file and reading 8 KiB of it, in the same run; and what
// memory the result takes.
func BenchmarkRead(b *testing.B) {
	const n = 10_000
	for _, tt := range []struct {
		name      string
		snapshots int
		named     bool
	}{{"names", 2, true}, {"times", 2, false}, {"snapshots=256", 256, true},
		{"times,snapshots=256", 256, false}} {
		b.Run(tt.name, func(b *testing.B) {
			dir := many(b, n, tt.snapshots, tt.named)
			var alone, work, workAlone time.Duration
			var held uint64
			for b.Loop() {
				start := processorTime(b)
				a, err := Read(b.Context(), dir)
				b.StopTimer()
				work += processorTime(b) - start
				if err != nil || len(a.Volumes) != 1 || len(a.Volumes[0].States()) != n {
					b.Fatal(err, len(a.Volumes))
				}
				runtime.GC()
				begin, start := time.Now(), processorTime(b)
				readAlone(b, dir)
				alone += time.Since(begin)
				workAlone += processorTime(b) - start
				before := inUse()
				runtime.KeepAlive(a)
				a = nil
				held = before - min(before, inUse()) // and the next one begins without garbage
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(alone), "x-stat-and-8-KiB")
			b.ReportMetric(float64(work)/float64(workAlone), "x-its-processor-time")
			b.ReportMetric(float64(held)/n, "held-B/patch")
		})
	}
}

// processorTime is what the process has used of all processors.
func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// inUse is how much memory is in use.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// readAlone looks at each file of a folder and reads 8 KiB of it.
func readAlone(b *testing.B, dir string) {
	buf := make([]byte, 8192)
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if _, err := os.Stat(name); err != nil {
			b.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = f.ReadAt(buf, 0)
		f.Close()
	}
}

// Memory for 10 000 patches is bounded by what they say, not by how often they say it.
func TestSnapshotsHeldOnce(t *testing.T) {
	dir := many(t, 100, 256, true)
	before := inUse()
	a, err := Read(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if per := (inUse() - min(before, inUse())) / 100; per > 10<<10 {
		t.Errorf("%d bytes are held for each patch", per)
	}
	runtime.KeepAlive(a)
}
