package mount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPatches counts the patches of a folder that are open.
func (c *chain) openPatches() (n int) {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && filepath.Dir(to) == c.dir {
			n++
		}
	}
	return n
}

// wantOpen waits until so many patches are open: the kernel tells late who has closed a file.
func (c *chain) wantOpen(want int) {
	c.Helper()
	for end := time.Now().Add(time.Minute); c.openPatches() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			c.Fatalf("%d patches are open, want %d", c.openPatches(), want)
		}
	}
}

// Patches are open while somebody reads what they are part of, each once.
func TestOpenedLate(t *testing.T) {
	c := newChain(t, 20, 6)
	m := mount(t, c.volumes())
	c.wantOpen(0)
	one, two, again := m.open(2), m.open(4), m.open(4)
	c.wantOpen(5)
	two.Close()
	one.Close()
	c.wantOpen(5)
	if _, err := again.ReadAt(make([]byte, 1), 0); err != nil {
		t.Error(err)
	}
	again.Close()
	c.wantOpen(0)
}

// A chain that is longer than the limit of open files can't be opened, says why, and takes none
// away from shorter ones.
func TestTooManyPatches(t *testing.T) {
	c := newChain(t, 20, 40)
	m := mount(t, c.volumes())
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	low := old
	low.Cur = uint64(len(fds) + 20)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	_, err := os.Open(m.files[40])
	_, err2 := os.ReadFile(m.files[2])
	if err3 := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err3 != nil {
		t.Fatal(err3)
	}
	if !errors.Is(err, unix.EMFILE) || err2 != nil {
		t.Errorf("%v, %v", err, err2)
	}
	m.want("the state takes 41 patches: raise the limit")
}

// A slow base answers when it is let.
type slow chan struct{}

func (s slow) ReadAt(b []byte, _ int64) (int, error) {
	<-s
	clear(b)
	return len(b), nil
}

// Many who wait for what is beneath one file hold up nobody who reads another one.
func TestHeldUp(t *testing.T) {
	over, other := newChain(t, 400, 1), newChain(t, 400, 0)
	volumes := append(over.volumes(), other.volumes()...)
	volumes[0].States = []State{{Patch: volumes[0].States[1].Patch, Base: true}}
	volumes[0].States[0].Patch.Follows = nil
	base := make(slow)
	m := mount(t, volumes, func(o *Options) { o.Base, o.BaseSize = base, 400*block })
	files, err := filepath.Glob(m.point + "/*/*.img")
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	const readers = 40
	waiting := make(chan error, readers)
	for i := range readers {
		go func() {
			f, err := os.OpenFile(files[0], os.O_RDONLY|unix.O_DIRECT, 0)
			if err == nil {
				_, err = f.ReadAt(make([]byte, 8*block), int64(i)*8*block)
				f.Close()
			}
			waiting <- err
		}()
	}
	if strings.Contains(files[0], "_2") || files[0] > files[1] {
		files[0], files[1] = files[1], files[0]
	}
	got := make(chan error, 1)
	go func() {
		b, err := os.ReadFile(files[1])
		if err == nil && !bytes.Equal(b, other.images[0]) {
			err = fmt.Errorf("%d bytes are wrong", len(b))
		}
		got <- err
	}()
	select {
	case err := <-got:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("held up")
	}
	close(base)
	for range readers {
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
}
