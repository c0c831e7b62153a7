package mount

import (
	"context"
	"io"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/volume"
)

// openers are how many patches of a chain are opened at the same time: a disk may have to turn for
// each.
const openers = 8

// A content is what a state holds. Its patches are open as long as somebody has the file open.
type content struct {
	*archive.Patch
	name    string // of the file, for messages
	base    bool   // it lies over Options.Base
	patches *patches
	options volume.Options
	told    *told

	mu     sync.Mutex
	users  int
	volume *volume.Volume // nil: closed
	opened []*opened      // its chain
}

// open returns the volume, which must be closed as often as it was opened.
func (c *content) open() (*volume.Volume, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.volume == nil {
		if err := c.openChain(); err != nil {
			return nil, err
		}
	}
	c.users++
	return c.volume, nil
}

func (c *content) openChain() error {
	chain := c.Chain()
	all := make([]*opened, len(chain))
	var g errgroup.Group
	g.SetLimit(openers)
	for i, p := range chain {
		g.Go(func() (err error) {
			all[i], err = c.patches.open(p)
			return err
		})
	}
	err := g.Wait()
	var v *volume.Volume
	if err == nil {
		patches := make([]volume.Patch, len(all))
		for i, o := range all {
			patches[i] = volume.Patch{Name: o.file.Name(), File: o.patch}
		}
		o := c.options
		if !c.base {
			o.Base, o.BaseSize = nil, 0
		}
		v, err = volume.Open(patches, o)
	}
	if err != nil {
		c.patches.close(all)
		return err
	}
	c.volume, c.opened = v, all
	return nil
}

func (c *content) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users > 0 {
		return
	}
	c.volume.Close()
	c.patches.close(c.opened)
	c.volume, c.opened = nil, nil
}

// read fills b from byte off on, or as much of it as there is of the volume. What can't be read
// in part fails as a whole: the kernel takes a short read for the end of the file.
func (c *content) read(v *volume.Volume, b []byte, off int64) (int, syscall.Errno) {
	n, err := v.ReadAt(b, off)
	if err == nil || err == io.EOF {
		return n, 0
	}
	c.told.unreadable(c, err)
	return 0, unix.EIO
}

// seek finds the next data or hole as lseek(2) does. A signal ends the search, be it to kill who
// waits for it or to tell them something: EINTR would be news to who calls lseek, so they get data
// where a hole may go on, or a hole without a length within data.
func (c *content) seek(
	ctx context.Context, v *volume.Volume, off int64, whence uint32,
) (int64, syscall.Errno) {
	if off < 0 || off >= v.Size() {
		return 0, unix.ENXIO
	}
	switch whence {
	case unix.SEEK_HOLE:
		hole, _ := v.Hole(ctx, off)
		return hole, 0
	case unix.SEEK_DATA:
		return seekData(ctx, v, off)
	}
	return 0, unix.EINVAL
}

func seekData(ctx context.Context, v *volume.Volume, off int64) (int64, syscall.Errno) {
	for at := off; ; {
		e := v.Extent(at)
		switch {
		case e.Len == 0:
			return 0, unix.ENXIO
		case e.Kind == format.Data, e.Off > off && ctx.Err() != nil:
			return e.Off, 0
		}
		at = e.End()
	}
}
