package mount

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"lvmsync/format/volume"

	"golang.org/x/sys/unix"
)

// Each state is a file of its own that holds what the volume held then, of its size and time.
func TestStates(t *testing.T) {
	c := newChain(t, 2000, 5)
	m := mount(t, c.volumes())
	if len(m.files) != len(c.images) {
		t.Fatalf("files %q", m.files)
	}
	for i, name := range m.files {
		want := when(i).Format("2006-01-02T15-04-05Z") + "_vg-mail.img"
		st, err := os.Stat(name)
		if err != nil || filepath.Base(name) != want || st.Size() != int64(len(c.images[i])) ||
			!st.ModTime().Equal(when(i)) || st.Mode() != 0o400 {
			t.Errorf("%v, %v; want %s", st, err, want)
		}
		if blocks := st.Sys().(*syscall.Stat_t); blocks.Blocks == 0 ||
			blocks.Blocks*512 >= st.Size() {
			t.Errorf("%s: %d blocks", name, blocks.Blocks)
		}
		got, err := os.ReadFile(name)
		if err != nil || sha256.Sum256(got) != sha256.Sum256(c.images[i]) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := os.OpenFile(m.files[0], os.O_RDWR, 0); !errors.Is(err, unix.EROFS) {
		t.Errorf("opened to be written: %v", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(m.files[0], &fs); err != nil ||
		fs.Blocks != uint64(len(c.images)*2000) || fs.Bfree != 0 {
		t.Errorf("%+v, %v", fs, err)
	}
	m.want()
}

// Programs that make durable what they have read, as some do unasked, meet with no error: there is
// nothing to be written.
func TestSync(t *testing.T) {
	m := mount(t, newChain(t, 10, 0).volumes())
	for what, name := range map[string]string{"file": m.files[0], "folder": m.point} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for call, sync := range map[string]func(int) error{"fsync": unix.Fsync,
			"fdatasync": unix.Fdatasync, "syncfs": unix.Syncfs} {
			if err := sync(int(f.Fd())); err != nil {
				t.Errorf("%s of a %s: %v", call, what, err)
			}
		}
	}
	m.want()
}

// Direct reads, as of a loop device, get the same.
func TestDirect(t *testing.T) {
	c := newChain(t, 700, 1)
	m := mount(t, c.volumes())
	f, err := os.OpenFile(m.files[1], os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, c.images[1]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Where lseek says that there is a hole, zeros are; and no long run of them is left out.
func TestSeek(t *testing.T) {
	c := newChain(t, 3000, 2)
	m := mount(t, c.volumes())
	for i := range m.files {
		f, image := m.open(i), c.images[i]
		size := int64(len(image))
		holes := int64(0)
		for off := int64(0); off < size; {
			data, err := f.Seek(off, unix.SEEK_DATA)
			if errors.Is(err, unix.ENXIO) {
				data = size
			} else if err != nil {
				t.Fatal(err)
			}
			if bytes.Count(image[off:data], []byte{0}) != int(data-off) {
				t.Fatalf("no zeros in [%d, %d)", off, data)
			}
			if holes += data - off; data == size {
				break
			}
			if off, err = f.Seek(data, unix.SEEK_HOLE); err != nil || off < data { // see below
				t.Fatal(off, err)
			}
		}
		if zeros := zeroBlocks(image); holes < zeros*9/10 {
			t.Errorf("%d bytes in holes, %d are zeros", holes, zeros)
		}
		for _, whence := range []int{unix.SEEK_DATA, unix.SEEK_HOLE} {
			if _, err := f.Seek(size, whence); !errors.Is(err, unix.ENXIO) {
				t.Errorf("at the end: %v", err)
			}
		}
	}
}

func zeroBlocks(image []byte) (n int64) {
	for off := 0; off < len(image); off += block {
		if bytes.Count(image[off:off+block], []byte{0}) == block {
			n += block
		}
	}
	return n
}

// Eight readers at once, of all files, with little memory.
func TestReadersAtOnce(t *testing.T) {
	c := newChain(t, 2000, 4)
	m := mount(t, c.volumes(), func(o *Options) { o.Cache = 1 << 20 })
	var all sync.WaitGroup
	for reader := range uint64(8) {
		rnd := rand.New(rand.NewPCG(reader, 3))
		all.Go(func() {
			for range 60 {
				i := rnd.IntN(len(m.files))
				f, err := os.Open(m.files[i])
				if err != nil {
					t.Error(err)
					return
				}
				b := make([]byte, 1+rnd.IntN(300<<10))
				off := rnd.Int64N(int64(len(c.images[i]) - len(b)))
				if _, err = f.ReadAt(b, off); err != nil || !bytes.Equal(b,
					c.images[i][off:off+int64(len(b))]) {
					t.Errorf("%s: %d bytes at byte %d are wrong, %v", f.Name(), len(b), off, err)
				}
				f.Close()
			}
		})
	}
	all.Wait()
	m.want()
}

// States of several volumes are in folders.
func TestSeveralVolumes(t *testing.T) {
	one, two := newChain(t, 100, 1), newChain(t, 300, 0)
	volumes := append(one.volumes(), two.volumes()...)
	volumes[1].Name = "vg/../web"
	m := mount(t, volumes)
	for name, want := range map[string][]byte{
		"vg-mail/2026-11-20T03-00-01Z_vg-mail.img":   one.images[1],
		"vg-..-web/2026-11-20T03-00-00Z_vg-mail.img": two.images[0],
	} {
		got, err := os.ReadFile(filepath.Join(m.point, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// A signal that comes while lseek searches is no error for who calls it: what it says is rough, and
// goes on.
func TestSeekInterrupted(t *testing.T) {
	c := newChain(t, 3000, 1)
	v, files, err := c.volumes()[0].States[1].Patch.Open(volume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	defer v.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for off := int64(0); off < v.Size(); {
		data, errno := (&content{}).seek(ctx, v, off, unix.SEEK_DATA)
		if errno == unix.ENXIO {
			data, errno = v.Size(), 0
		}
		if errno != 0 || bytes.Count(c.images[1][off:data], []byte{0}) != int(data-off) {
			t.Fatalf("no zeros in [%d, %d): %v", off, data, errno)
		}
		if off = data; off < v.Size() {
			off, errno = (&content{}).seek(ctx, v, data, unix.SEEK_HOLE)
			if errno != 0 || off < data {
				t.Fatalf("from %d to %d: %v", data, off, errno)
			}
		}
	}
}
