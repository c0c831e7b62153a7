//go:build lvm

package lvmtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"lvmsync/dump/blockdev"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// device opens a device for reading past the page cache. Who calls it closes it: LVM removes no
// volume that is open.
func device(t *testing.T, path string) *blockdev.File {
	t.Helper()
	f, err := blockdev.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sum is a SHA-256 of the first size bytes of a device, all of it if size is 0, read past the page
// cache. Blocks of zeros are left out, as hashing is slow under emulation; all others go in with
// their offset.
func sum(t *testing.T, path string, size int64) string {
	t.Helper()
	const block = 4096
	f := device(t, path)
	defer f.Close()
	if size == 0 {
		size = f.Size()
	}
	h := sha256.New()
	var zeros [block]byte
	buf := blockdev.AlignedBuffer(1 << 20)
	for off := int64(0); off < size; off += int64(len(buf)) {
		n := min(int64(len(buf)), size-off)
		if _, err := f.ReadAt(buf[:n], off); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		for i := int64(0); i < n; i += block {
			if b := buf[i:min(i+block, n)]; !bytes.Equal(b, zeros[:len(b)]) {
				h.Write(binary.LittleEndian.AppendUint64(nil, uint64(off+i)))
				h.Write(b)
			}
		}
	}
	fmt.Fprint(h, size)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// wantSame compares destination and origin by SHA-256.
func wantSame(t *testing.T, origin, dest string) {
	t.Helper()
	size := size(t, origin)
	if want, got := sum(t, origin, size), sum(t, dest, size); got != want {
		t.Errorf("%s and %s differ: %s, %s", origin, dest, want, got)
	}
}

// size is the size of a device in bytes.
func size(t *testing.T, path string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.TrimSpace(sh(t, "blockdev", "--getsize64", path)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fill writes random bytes to all of a device, and flushes them.
func fill(t *testing.T, path string, seed byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.NewChaCha8([32]byte{seed})
	_, err = io.CopyN(f, rnd, size(t, path))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// poke writes 512 random bytes at each offset, and flushes them.
func poke(t *testing.T, path string, seed byte, offsets ...int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.NewChaCha8([32]byte{seed, 1})
	b := make([]byte, 512)
	for _, off := range offsets {
		rnd.Read(b)
		if _, err := f.WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// overflow writes all of the origin, for which the COW store has no room. The origin takes it: it
// is the snapshot that becomes invalid.
func overflow(t *testing.T, origin string) {
	t.Helper()
	fill(t, origin, 99)
}

// write writes bytes to a device, and flushes them.
func write(t *testing.T, path string, off int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// content is size bytes of a device, read past the cache.
func content(t *testing.T, path string, off, size int64) []byte {
	t.Helper()
	b := make([]byte, size)
	f := device(t, path)
	defer f.Close()
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	return b
}

// put writes a device or file from its beginning on, and flushes it.
func put(t *testing.T, path string, content []byte) {
	t.Helper()
	write(t, path, 0, content)
}

// zero fills a device with zeros.
func zero(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, zeroReader{}, size(t, path)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// whole reads all of a device or file past the page cache. Unlike after sum nobody has it open
// then.
func whole(t *testing.T, path string) []byte {
	t.Helper()
	f, err := blockdev.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := blockdev.AlignedBuffer(int(f.Size()))
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return b
}

func holds(t *testing.T, path string, want digest) bool {
	t.Helper()
	return sha256.Sum256(whole(t, path)) == want
}

// wantSum checks what a device or file holds by its SHA-256.
func wantSum(t *testing.T, path, state string, want digest) {
	t.Helper()
	if !holds(t, path, want) {
		t.Errorf("%s does not hold %s", path, state)
	}
}

func wantContent(t *testing.T, path, state string, want []byte) {
	t.Helper()
	wantSum(t, path, state, sha256.Sum256(want))
}
