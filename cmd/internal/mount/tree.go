package mount

import (
	"context"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"lvmsync/format/volume"
)

// A folder is one of the mount: its root, or that of a volume.
type folder struct {
	fs.Inode
	modes
	time   time.Time // that of the newest state in it
	statfs fuse.StatfsOut
	fill   func(ctx context.Context) // the root with all else
}

// modes are who may read, and that nobody writes.
type modes struct {
	allowOther bool
}

var (
	_ fs.NodeOnAdder   = (*folder)(nil)
	_ fs.NodeGetattrer = (*folder)(nil)
	_ fs.NodeStatfser  = (*folder)(nil)
	_ fs.NodeFsyncer   = (*folder)(nil)
)

// OnAdd implements [fs.NodeOnAdder].
func (f *folder) OnAdd(ctx context.Context) {
	if f.fill != nil {
		f.fill(ctx)
	}
}

// Getattr implements [fs.NodeGetattrer].
func (f *folder) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = 0o500
	f.set(&out.Attr, f.time)
	return 0
}

// Statfs implements [fs.NodeStatfser].
func (f *folder) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	*out = f.statfs
	return 0
}

// set sets what files and folders have in common, Mode being what the owner may do.
func (m modes) set(a *fuse.Attr, t time.Time) {
	if m.allowOther {
		a.Mode |= a.Mode>>3 | a.Mode>>6
	}
	a.Uid, a.Gid = uint32(os.Geteuid()), uint32(os.Getegid())
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	a.SetTimes(&t, &t, &t)
}

// Fsync implements [fs.NodeFsyncer] for files and folders: nothing was ever written, so that all of
// it is durable.
func (modes) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return 0 }

// blockSize is what the kernel is told of as that of files, in bytes.
const blockSize = 4096

// A file is a state.
type file struct {
	fs.Inode
	modes
	*content
	size   int64
	blocks int64 // of 512 bytes, roughly
	time   time.Time
	statfs fuse.StatfsOut
}

var (
	_ fs.NodeGetattrer = (*file)(nil)
	_ fs.NodeOpener    = (*file)(nil)
	_ fs.NodeStatfser  = (*file)(nil)
	_ fs.NodeFsyncer   = (*file)(nil)
)

// Getattr implements [fs.NodeGetattrer].
func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Nlink = 0o400, 1
	out.Size, out.Blocks, out.Blksize = uint64(f.size), uint64(f.blocks), blockSize
	f.set(&out.Attr, f.time)
	return 0
}

// Statfs implements [fs.NodeStatfser].
func (f *file) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	*out = f.statfs
	return 0
}

// Open implements [fs.NodeOpener]. What a state holds never changes, and the kernel may keep it,
// unless a base is beneath it, which somebody may write to.
func (f *file) Open(_ context.Context, _ uint32) (fs.FileHandle, uint32, syscall.Errno) {
	v, err := f.content.open()
	if err != nil {
		return nil, 0, f.told.unopenable(f.content, err)
	}
	flags := uint32(fuse.FOPEN_KEEP_CACHE)
	if f.content.base {
		flags = 0
	}
	return &handle{f.content, v}, flags, 0
}

// A handle is a file that somebody has open.
type handle struct {
	content *content
	volume  *volume.Volume
}

var (
	_ fs.FileReader   = (*handle)(nil)
	_ fs.FileLseeker  = (*handle)(nil)
	_ fs.FileReleaser = (*handle)(nil)
)

// Read implements [fs.FileReader].
func (h *handle) Read(
	_ context.Context, dest []byte, off int64,
) (fuse.ReadResult, syscall.Errno) {
	n, errno := h.content.read(h.volume, dest, off)
	return fuse.ReadResultData(dest[:n]), errno
}

// Lseek implements [fs.FileLseeker].
func (h *handle) Lseek(
	ctx context.Context, off uint64, whence uint32,
) (uint64, syscall.Errno) {
	at, errno := h.content.seek(ctx, h.volume, int64(off), whence)
	return uint64(at), errno
}

// Release implements [fs.FileReleaser].
func (h *handle) Release(context.Context) syscall.Errno {
	h.content.close()
	return 0
}
