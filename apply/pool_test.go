package apply

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"lvmsync/format/storage"
	"lvmsync/format/storage/devtest"
)

// A pool is a file system whose files are like thin volumes in a pool that does not
// zero its blocks: they answer zeros for a block that nobody has written, and once
// anything in it is written, rubbish for all the rest of it.
type pool struct {
	fs.Inode
	dir   string
	count int
}

// newPool mounts one.
func newPool(t testing.TB) *pool {
	t.Helper()
	devtest.NeedRoot(t)
	p := &pool{dir: t.TempDir()}
	options := &fs.Options{}
	options.DirectMountStrict, options.FsName = true, "pool"
	if _, err := fs.Mount(p.dir, p, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Who looks at all devices may still hold one that was detached.
		if err := unix.Unmount(p.dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Statfs tells the size of what can be freed, without which a loop device frees nothing.
func (p *pool) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize = 4096, 4096
	return 0
}

// A thinVolume is a file of a pool.
type thinVolume struct {
	fs.Inode
	part storage.ThinPart // of the device that is made of it
	path string           // of that
	// what reaches past this fails once 4096 bytes of it are written; 0: nothing does
	failFrom int64

	seen   func(writes bool, off int64) // told each request, if it's set
	mu     sync.Mutex
	dirty  bool           // something has been written or unmapped since the last flush
	mapped map[int64]bool // blocks, by where they begin
	bytes  []byte         // what the disk holds
}

// volume makes a volume with a device on it that shows what it holds from byte "shift"
// on. Blocks of zeros aren't mapped.
func (p *pool) volume(t testing.TB, content []byte, block, shift int64) *thinVolume {
	t.Helper()
	v := &thinVolume{mapped: make(map[int64]bool),
		bytes: garbage(shift + int64(len(content)) + block)}
	v.part = storage.ThinPart{Len: int64(len(content)) + 3*block, Block: block, First: -shift,
		Direct: shift == 0, Pool: "pool"}
	for off := int64(0); off < int64(len(content)); off += 512 {
		if b := content[off : off+512]; !bytes.Equal(b, zeros[:512]) {
			v.write(make([]byte, block), (shift+off)/block*block)
		}
	}
	for at := range v.mapped {
		for i := range block {
			if from := at + i - shift; from >= 0 && from < int64(len(content)) {
				v.bytes[at+i] = content[from]
			}
		}
	}
	p.count++
	name := fmt.Sprint(p.count)
	p.AddChild(name, p.NewPersistentInode(t.Context(), v, fs.StableAttr{Mode: unix.S_IFREG}), true)
	v.path = devtest.Loop(t, filepath.Join(p.dir, name),
		"--offset", fmt.Sprint(shift), "--sizelimit", fmt.Sprint(len(content)))
	return v
}

// write writes, and maps what isn't yet.
func (v *thinVolume) write(b []byte, off int64) {
	v.dirty = true
	for at := off / v.part.Block * v.part.Block; at < off+int64(len(b)); at += v.part.Block {
		v.mapped[at] = true
	}
	copy(v.bytes[off:], b)
}

// device is what a device on the volume holds.
func (v *thinVolume) device(t testing.TB) []byte {
	t.Helper()
	return readPastCache(t, v.path)
}

// uncover maps blocks that a run has mapped for the first time, but of which nothing
// came to the disk when the power failed.
func (v *thinVolume) uncover(before map[int64]bool, choose func() bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for at := range v.mapped {
		if !before[at] && choose() {
			copy(v.bytes[at:at+v.part.Block], garbage(v.part.Block))
		}
	}
}

func (v *thinVolume) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (v *thinVolume) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Size, out.Mode, out.Blksize = uint64(len(v.bytes)), unix.S_IFREG|0o600, 4096
	return 0
}

func (v *thinVolume) Read(_ context.Context, _ fs.FileHandle, b []byte,
	off int64) (fuse.ReadResult, syscall.Errno) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen != nil {
		v.seen(false, off)
	}
	n := copy(b, v.bytes[min(off, int64(len(v.bytes))):])
	for i := range b[:n] {
		if at := off + int64(i); !v.mapped[at/v.part.Block*v.part.Block] {
			b[i] = 0
		}
	}
	return fuse.ReadResultData(b[:n]), 0
}

func (v *thinVolume) Write(_ context.Context, _ fs.FileHandle, b []byte,
	off int64) (uint32, syscall.Errno) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen != nil {
		v.seen(true, off)
	}
	if v.failFrom > 0 && off+int64(len(b)) > v.failFrom {
		v.write(b[:4096], off)
		return 0, syscall.EIO
	}
	if off+int64(len(b)) > int64(len(v.bytes)) {
		return 0, syscall.ENOSPC
	}
	v.write(b, off)
	return uint32(len(b)), 0
}

// Allocate unmaps whole blocks and ignores the rest of a discard. It can't zero.
func (v *thinVolume) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64,
	mode uint32) syscall.Errno {
	if mode != unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE || !v.part.Direct {
		return syscall.EOPNOTSUPP
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dirty = true
	for at := (int64(off) + v.part.Block - 1) / v.part.Block * v.part.Block; at+v.part.Block <=
		int64(off+size); at += v.part.Block {
		delete(v.mapped, at)
	}
	return 0
}

func (v *thinVolume) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dirty = false
	return 0
}

// What the model of a pool does is what a real one does.
func TestPoolUncovers(t *testing.T) {
	content := make([]byte, 1<<18)
	copy(content[100<<10:], "word")
	v := newPool(t).volume(t, content, 64<<10, 0)
	if !bytes.Equal(v.device(t), content) {
		t.Fatal("the new volume does not hold what it shall")
	}
	f, err := os.OpenFile(v.path, os.O_WRONLY|unix.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 512), 8192); err != nil {
		t.Fatal(err)
	}
	got := v.device(t)
	if n := bytes.Count(got[:64<<10], []byte{0}); n < 512 || n > 8192 {
		t.Errorf("%d bytes of zeros in the block that was written, want a page at the most", n)
	}
	if !bytes.Equal(got[64<<10:], content[64<<10:]) {
		t.Error("other blocks have changed")
	}
	var whole [2]uint64 = [2]uint64{0, 64 << 10}
	if err := ioctlRange(f, unix.BLKDISCARD, &whole); err != nil {
		t.Fatal(err)
	}
	if got := v.device(t); slices.Contains(got[:64<<10], 1) ||
		!bytes.Equal(got[:64<<10], zeros[:64<<10]) {
		t.Error("a discard has left something")
	}
}
