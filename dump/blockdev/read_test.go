package blockdev

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"lvmsync/format/storage/devtest"
)

// oddSize is no multiple of 4096, nor of the bounce buffer, and larger than that.
const oddSize = 2*bounceSize + 5*512

func TestReadAtFile(t *testing.T) {
	want := devtest.Noise(1, oddSize+7)
	checkReads(t, open(t, devtest.Image(t, want)), want)
}

func TestReadAtDevice(t *testing.T) {
	want := devtest.Noise(2, oddSize)
	checkReads(t, open(t, devtest.Loop(t, devtest.Image(t, want))), want)
}

func TestReadAtDeviceOf4096ByteSectors(t *testing.T) {
	want := devtest.Noise(3, 2*bounceSize+3*4096)
	checkReads(t, open(t, devtest.Loop(t, devtest.Image(t, want), "--sector-size", "4096")), want)
}

// checkReads reads f in many ways, concurrently, and compares with what is known to be there.
func checkReads(t *testing.T, f *File, want []byte) {
	t.Helper()
	size := len(want)
	reads := [][2]int{ // offset, length
		{0, size}, {0, 0}, {0, 1}, {0, 512}, {1, 511}, {511, 2}, {512, 512}, {512, 513}, {4095, 2},
		{3, bounceSize}, {7, bounceSize * 2}, {size - 1, 1}, {size - 512, 512},
		{size - 513, 513}, {size - 4096, 4096}, {size - 4000, 8192}, {size, 1}, {size + 5, 10},
		{size - 1, 2}, {size, 0}}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		off := r.IntN(size)
		reads = append(reads, [2]int{off, r.IntN(min(size-off, 20000)) + 1})
	}
	var wg sync.WaitGroup
	for i, read := range reads {
		wg.Go(func() { checkRead(t, f, want, read[0], read[1], i%3) })
	}
	wg.Wait()
	tail := len(want) - 3000 // it reads byte by byte
	if err := iotest.TestReader(io.NewSectionReader(f, int64(tail), 3000),
		want[tail:]); err != nil {
		t.Error(err)
	}
}

func checkRead(t *testing.T, f *File, want []byte, off, length, shift int) {
	p := AlignedBuffer(length + shift)[shift:]
	n, err := f.ReadAt(p, int64(off))
	rest := want[min(off, len(want)):]
	wantN := min(length, len(rest))
	var wantErr error
	if wantN < length {
		wantErr = io.EOF
	}
	if n != wantN || err != wantErr {
		t.Errorf("ReadAt(%d bytes, %d) = %d, %v; want %d, %v", length, off, n, err, wantN, wantErr)
		return
	}
	if !bytes.Equal(p[:n], rest[:n]) {
		t.Errorf("ReadAt(%d bytes, %d), memory shifted by %d: wrong bytes", length, off, shift)
	}
}

// A device's page cache may hold what was there before somebody wrote beneath it. Here that is the
// loop device's backing file; with LVM it is a mounted file system, or the kernel writing a COW
// store.
func TestReadAtPassesThePageCache(t *testing.T) {
	backing := devtest.Image(t, devtest.Noise(1, 64<<10))
	dev := devtest.Loop(t, backing)
	// The cache lasts while somebody has the device open.
	cached := devtest.Write(t, dev, os.O_RDONLY, nil)
	if _, err := io.ReadAll(cached); err != nil {
		t.Fatal(err)
	}
	want := devtest.Noise(2, 64<<10)
	devtest.Write(t, backing, os.O_WRONLY, want)
	if !bytes.Equal(content(t, open(t, dev)), want) {
		t.Error("got the old bytes from the page cache")
	}
}

func TestReadAtErrorsNameDeviceAndOffset(t *testing.T) {
	// The last sector is no whole block of the device: the kernel does not read it.
	dev := devtest.Loop(t, devtest.Image(t, devtest.Noise(1, 4096*4+512)), "--sector-size", "4096")
	f := open(t, dev)
	if f.Size()%4096 == 0 {
		t.Skip("this kernel rounds the size of loop devices down to whole blocks")
	}
	n, err := f.ReadAt(AlignedBuffer(int(f.Size())), 0)
	if want := "read " + dev + " at byte 16384: "; n != 16384 || err == nil ||
		!strings.HasPrefix(err.Error(), want) {
		t.Errorf("ReadAt = %d, %v; want 16384 and an error that begins %q", n, err, want)
	}
}

func TestReadAtFileThatShrank(t *testing.T) {
	path := devtest.Image(t, devtest.Noise(1, 5000))
	f := open(t, path)
	if err := os.Truncate(path, 3000); err != nil {
		t.Fatal(err)
	}
	n, err := f.ReadAt(make([]byte, 5000), 0)
	if n != 3000 || !errors.Is(err, io.ErrUnexpectedEOF) ||
		!strings.Contains(err.Error(), "at byte 3000") {
		t.Errorf("ReadAt = %d, %v; want 3000 and an unexpected EOF there", n, err)
	}
}

func TestReadAtDeviceThatShrank(t *testing.T) {
	backing := devtest.Image(t, devtest.Noise(1, 64<<10))
	dev := devtest.Loop(t, backing)
	f := open(t, dev)
	if err := os.Truncate(backing, 16<<10); err != nil {
		t.Fatal(err)
	}
	devtest.Run(t, "losetup", "--set-capacity", dev)
	for off, want := range map[int64]int{1000: 15384, 16 << 10: 0, 20001: 0} {
		n, err := f.ReadAt(make([]byte, 40000), off)
		if n != want || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("ReadAt(40000 bytes, %d) = %d, %v; want %d and an unexpected EOF", off, n, err,
				want)
		}
	}
}

func TestReadAtRefuses(t *testing.T) {
	f := open(t, devtest.Hole(t, 100))
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("negative offset: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); err == nil || err == io.EOF {
		t.Errorf("closed file: %v", err)
	}
}

func TestAlignedBuffer(t *testing.T) {
	for _, n := range []int{1, 511, 4096, 4097, 1 << 20} {
		b := AlignedBuffer(n)
		if len(b) != n || cap(b) != n || misalignment(b, 4096) != 0 {
			t.Errorf("AlignedBuffer(%d): len %d, cap %d, misaligned by %d", n, len(b), cap(b),
				misalignment(b, 4096))
		}
	}
	if b := AlignedBuffer(0); len(b) != 0 {
		t.Errorf("AlignedBuffer(0): len %d", len(b))
	}
}
