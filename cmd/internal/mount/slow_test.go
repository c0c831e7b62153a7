package mount

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A gate holds up who closes a file, once it is shut.
type gate struct {
	shut    atomic.Bool
	waiting chan struct{} // one for each who is held up
	open    chan struct{} // closed for good
}

// A gated file is one behind a gate.
type gated struct {
	fs.MemRegularFile
	gate *gate
}

// Flush implements [fs.NodeFlusher].
func (g *gated) Flush(context.Context, fs.FileHandle) syscall.Errno {
	if g.gate.shut.Load() {
		g.gate.waiting <- struct{}{}
		<-g.gate.open
	}
	return 0
}

// behindGate moves the patches to a file system where closing files may take its time.
func (c *chain) behindGate() *gate {
	c.Helper()
	g := &gate{waiting: make(chan struct{}, 100), open: make(chan struct{})}
	root, dir := &fs.Inode{}, c.TempDir()
	options := &fs.Options{OnAdd: func(ctx context.Context) {
		for i := range c.images {
			data, err := os.ReadFile(c.path(i))
			if err != nil {
				c.Error(err)
			}
			f := &gated{fs.MemRegularFile{Data: data, Attr: fuse.Attr{Mode: 0o600}}, g}
			root.AddChild(filepath.Base(c.path(i)), root.NewPersistentInode(ctx, f, fs.StableAttr{}),
				false)
		}
	}}
	options.DirectMountStrict = true
	server, err := fs.Mount(dir, root, options)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		// What the program still has open shall not wait for this process when that ends.
		if err := syscall.Unmount(dir, syscall.MNT_FORCE|syscall.MNT_DETACH); err != nil {
			c.Error(err)
		}
		server.Wait()
	})
	c.dir = dir
	return g
}

// A patch that takes long to close, as on a server that does not answer, holds up nobody else.
func TestSlowClose(t *testing.T) {
	mount(t, nil) // or skip
	c := newChain(t, 50, 1)
	g := c.behindGate()
	m := mount(t, c.volumes())
	one := m.open(0)
	g.shut.Store(true)
	one.Close()
	<-g.waiting
	other := make(chan error, 1)
	go func() {
		f, err := os.Open(m.files[1])
		if err == nil {
			f.Close()
		}
		other <- err
	}()
	select {
	case err := <-other:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("held up")
	}
	close(g.open)
}
