package mount

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"lvmsync/dump/blockdev"
	"lvmsync/format"
)

// benchSize is the size of the volumes here, in bytes.
const benchSize = 256 << 20

// benchChain writes a full patch of data that can be compressed, and deltas of a hundredth of it.
func benchChain(b *testing.B, deltas int) *chain {
	b.Helper()
	c := &chain{TB: b, dir: b.TempDir(), rnd: rand.New(rand.NewPCG(9, 9))}
	const unit = 64 << 10
	for n := range 1 + deltas {
		h := format.Header{ID: uuid.New(), Kind: format.Full, Created: when(n),
			VolumeSize: benchSize, Granularity: 512,
			Source: format.Source{VG: "vg", LV: "mail", Path: "/dev/vg/mail"}}
		changed := int64(benchSize / unit)
		if n > 0 {
			h.Kind, h.Base = format.Delta, &format.Base{Patch: c.last}
			changed /= 100
		}
		c.last = h.ID
		f, err := os.Create(c.path(n))
		if err != nil {
			b.Fatal(err)
		}
		w, err := format.NewWriter(f, h, format.WriterOptions{Level: 1})
		if err != nil {
			b.Fatal(err)
		}
		s := w.NewSegment()
		for i, left := int64(0), changed; left > 0; i++ {
			if c.rnd.Int64N(benchSize/unit-i) >= left {
				continue
			}
			left--
			block := c.compressible(unit)
			r := format.Record{Extent: format.Extent{Off: i * unit, Len: unit}}
			if len(s.Data) == 1<<20 {
				err = w.Write(s)
				s = w.NewSegment()
			}
			if err2 := s.Add(r, block); err != nil || err2 != nil {
				b.Fatal(err, err2)
			}
		}
		if err := w.Write(s); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	return c
}

// compressible makes data that are smaller once they are compressed.
func (c *chain) compressible(n int) []byte {
	block := make([]byte, n)
	for at := 0; at < n; at += 16 {
		binary.LittleEndian.PutUint64(block[at:], c.rnd.Uint64()|0x20202020)
		copy(block[at+8:at+16], block[at/(1+c.rnd.IntN(64)):])
	}
	return block
}

// timed is the shortest time of three that something takes by the clock, and of processors, in
// seconds.
func timed(b *testing.B, do func()) (clock, processors float64) {
	b.Helper()
	var times, used []time.Duration
	for range 3 {
		begin, before := time.Now(), processorTime(b)
		do()
		times, used = append(times, time.Since(begin)), append(used, processorTime(b)-before)
	}
	return slices.Min(times).Seconds(), slices.Min(used).Seconds()
}

// processorTime is that of this process, which serves the files that it reads, and of programs that
// it has run.
func processorTime(b *testing.B) (all time.Duration) {
	b.Helper()
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		all += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return all
}

// readAll reads a file that the kernel has nothing of.
func readAll(b *testing.B, name string) {
	b.Helper()
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
	if err != nil || n != benchSize {
		b.Fatal(n, err)
	}
}

func unzstd(b *testing.B, name string) {
	b.Helper()
	cmd := exec.Command("zstd", "-dcq", name)
	out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSequential reads the last state of chains from its beginning to its end, and compares
// that with zstd -dc of the full patch.
func BenchmarkSequential(b *testing.B) {
	for name, deltas := range map[string]int{"full": 0, "30 deltas": 30} {
		b.Run(name, func(b *testing.B) {
			c := benchChain(b, deltas)
			m := mount(b, c.volumes())
			b.ResetTimer()
			for b.Loop() {
				own, used := timed(b, func() { readAll(b, m.files[deltas]) })
				zstd, zstdUsed := timed(b, func() { unzstd(b, c.path(0)) })
				b.ReportMetric(own/zstd, "times-zstd")
				b.ReportMetric(used/zstdUsed, "times-zstd's-processor")
				b.ReportMetric(benchSize/own/1e6, "MB/s")
			}
		})
	}
}

// An image is a file of a FUSE file system with nothing behind it but memory of the kernel's.
type image struct {
	fs.Inode
	file *os.File
}

func (i *image) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, 0
}

func (i *image) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o400, benchSize
	return 0
}

func (i *image) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (
	fuse.ReadResult, syscall.Errno) {
	n, err := i.file.ReadAt(dest, off)
	return fuse.ReadResultData(dest[:n]), fs.ToErrno(err)
}

// mountImage mounts an image file.
func mountImage(b *testing.B) (name string) {
	b.Helper()
	f, err := os.Create(b.TempDir() + "/image")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := f.Write(bytes.Repeat([]byte("image"), benchSize/5+1)); err != nil {
		b.Fatal(err)
	}
	point, root := b.TempDir(), &fs.Inode{}
	o := &fs.Options{OnAdd: func(ctx context.Context) {
		root.AddChild("image", root.NewPersistentInode(ctx, &image{file: f}, fs.StableAttr{}), false)
	}}
	o.MountOptions = fuse.MountOptions{DirectMountStrict: true, MaxWrite: maxRead}
	server, err := fs.Mount(point, root, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH); server.Wait(); f.Close() })
	return point + "/image"
}

// BenchmarkRandom reads 4096 bytes anywhere in what is in the cache, past the kernel's, and
// compares that with an image file through the same FUSE.
func BenchmarkRandom(b *testing.B) {
	const within, reads = 16 << 20, 5000
	c := benchChain(b, 3)
	m, other := mount(b, c.volumes()), mountImage(b)
	buf := blockdev.AlignedBuffer(block)
	random := func(name string) float64 {
		f, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECT, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		rnd := rand.New(rand.NewPCG(1, 1))
		some := func() {
			for range reads {
				if _, err := f.ReadAt(buf, rnd.Int64N(within/block)*block); err != nil {
					b.Fatal(err)
				}
			}
		}
		some() // now it is in the cache
		clock, _ := timed(b, some)
		return clock
	}
	b.ResetTimer()
	for b.Loop() {
		own, image := random(m.files[3]), random(other)
		b.ReportMetric(image/own, "of-an-image")
		b.ReportMetric(reads/own, "reads/s")
	}
}
