package apply

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/storage/devtest"
)

// What is zeroed is also freed, where a file system or device can do that. The
// zeros begin and end within what can be freed.
func TestHoles(t *testing.T) {
	vol := newVolume(format.Full, 8*mib,
		[]format.Extent{data(0, mib+512), zero(mib+512, 3*mib-1024)},
		[]format.Extent{data(4*mib-512, mib+512), zero(5*mib, 3*mib)})
	patch, _ := vol.patch(t)
	const holes, slack = 6 * mib, 128 << 10
	tests := []struct {
		name  string
		fs    string   // in place of that of temporary files
		loop  []string // arguments for a loop device, nil: a file
		thin  bool
		holes int64
	}{
		{"file on disk", "", nil, false, holes},
		{"file on tmpfs", "tmpfs", nil, false, holes},
		{"file without holes", "ramfs", nil, false, 0},
		{"loop device", "", []string{}, false, holes},
		{"loop device of 4096-byte sectors", "", []string{"--sector-size", "4096"}, false, holes},
		{"loop device that can't zero", "ramfs", []string{}, false, 0},
		{"thin", "", []string{}, true, holes},
		{"thin of 4096-byte sectors", "", []string{"--sector-size", "4096"}, true, holes},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.fs != "" {
				dir = mount(t, tt.fs, "none", "mode=0700")
			}
			backing := image(t, dir, garbage(8*mib))
			path := backing
			if tt.loop != nil {
				path = devtest.Loop(t, backing, tt.loop...)
			}
			for range 2 { // sparse stays sparse
				apply(t, path, pipe(patch), func(o *Options) {
					o.system = fake(&fakeSystem{thin: tt.thin})
				})
				wantContent(t, path, vol.onto(garbage(8*mib), 2))
				if tt.fs == "ramfs" {
					continue // has no notion of blocks
				}
				if got, want := allocated(t, backing), 8*mib-tt.holes; got > want+slack ||
					got < want {
					t.Errorf("%d bytes on disk, want about %d", got, want)
				}
			}
		})
	}
}

// An image that is all hole gets no more than its data, however small its zeros.
func TestSparseBase(t *testing.T) {
	path := image(t, t.TempDir(), nil)
	if err := os.Truncate(path, 4*mib); err != nil {
		t.Fatal(err)
	}
	vol := newVolume(format.Delta, 4*mib, []format.Extent{
		data(mib, 4096), zero(mib+4096, 512), zero(mib+8192, 32<<10), zero(2*mib, mib),
		zero(4*mib-8192, 8192),
	})
	patch, _ := vol.patch(t)
	apply(t, path, pipe(patch))
	wantContent(t, path, vol.onto(make([]byte, 4*mib), 1))
	if got := allocated(t, path); got > 16<<10 {
		t.Errorf("%d bytes on disk", got)
	}
}

// Zero extents of all sizes and alignments around what is written and what the
// device zeroes, with dirty data of the same page on both sides.
func TestZeroEdges(t *testing.T) {
	var extents []format.Extent
	at := int64(0)
	for _, size := range []int64{512, 4096, 65536 - 512, 65536, 65536 + 512,
		131072 - 512, 131072, 200704} {
		for _, shift := range []int64{512, 4096, 3584, 1024} {
			extents = append(extents, data(at, shift), zero(at+shift, size))
			at += shift + size
		}
	}
	extents = append(extents, data(at, 512))
	size := (at + 512 + 4095) / 4096 * 4096
	vol := newVolume(format.Delta, size, extents)
	patch, _ := vol.patch(t)
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			path := p.make(t, garbage(size))
			apply(t, path, pipe(patch))
			wantContent(t, path, vol.onto(garbage(size), 1))
		})
	}
}

// What is to be zeros, and begins with zeros, is zeroed where it isn't, and comes back.
func TestZerosBehindZeros(t *testing.T) {
	const size = 2 * undoBatch
	patch, _ := newVolume(format.Delta, size, []format.Extent{zero(0, size)}).patch(t)
	for _, at := range []int64{pieceSize, undoBatch - 1, undoBatch + pieceSize, size - 1} {
		old := make([]byte, size)
		old[at] = 1
		path, undo := image(t, t.TempDir(), old), filepath.Join(t.TempDir(), "undo")
		apply(t, path, pipe(patch), func(o *Options) { o.Undo = undo })
		wantContent(t, path, make([]byte, size))
		saved, err := os.ReadFile(undo)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, path, bytes.NewReader(saved))
		wantContent(t, path, old)
	}
}

// A zero extent of several steps reports each of them and can be interrupted
// between them.
func TestLongZero(t *testing.T) {
	const size = 3*zeroStep + 8192
	vol := newVolume(format.Delta, size, []format.Extent{zero(512, size-512)})
	patch, _ := vol.patch(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	old := []int64{512, zeroStep - 512, zeroStep, 2*zeroStep + 1024, size - 512}
	for _, off := range old {
		if _, err := f.WriteAt(garbage(512), off); err != nil {
			t.Fatal(err)
		}
	}
	isZero := func(off int64) bool {
		b := make([]byte, 512)
		if _, err := f.ReadAt(b, off); err != nil {
			t.Fatal(err)
		}
		return bytes.Equal(b, zeros[:512])
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := newRun(f.Name())
	r.onStep = func(int64) { cancel() }
	r.do(ctx, pipe(patch))
	if p := r.wantPartial(t); p.Through != zeroStep || !isZero(zeroStep-512) || isZero(zeroStep) {
		t.Errorf("after one step: %+v, zeros before %v, behind %v", p,
			isZero(zeroStep-512), isZero(zeroStep))
	}

	r = apply(t, f.Name(), pipe(patch))
	if len(r.steps) < 4 {
		t.Errorf("progress %v, want one for each of 4 steps", r.steps)
	}
	wantSteps(t, r.steps, size-512)
	for _, off := range old {
		if !isZero(off) {
			t.Errorf("no zeros at %d", off)
		}
	}
}

// A thin volume gets discards. Whether they do anything must not matter: loop
// devices stand in for thin volumes that honour them and for those that don't.
func TestThin(t *testing.T) {
	vol := fullVolume()
	patch, _ := vol.patch(t)
	for _, p := range places {
		if !strings.HasPrefix(p.name, "loop") {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			path := p.make(t, garbage(3*mib))
			r := newRun(path)
			r.system = fake(&fakeSystem{thin: true})
			if r.do(t.Context(), pipe(patch)); r.err != nil {
				t.Fatal(r.err)
			}
			wantContent(t, path, vol.onto(garbage(3*mib), 3))
		})
	}
}

// Where a discard has left something, only that is overwritten.
func TestClear(t *testing.T) {
	const page = zeroAlign
	tests := []struct{ name, pages string }{
		{"nothing", "......"}, {"all", "xxxxxx"}, {"first", "x....."}, {"last", ".....x"},
		{"some", ".xx.x."}, {"one page", "x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(memory(t), "image"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			size := page * len(tt.pages)
			if err := f.Truncate(int64(size + page)); err != nil {
				t.Fatal(err)
			}
			was := make([]byte, size)
			for i, p := range tt.pages {
				if p == 'x' {
					was[page*(i+1)-1] = 1
				}
			}
			d := &destination{path: f.Name(), f: f, size: int64(size + page)}
			if err := d.clear(was, page); err != nil {
				t.Fatal(err)
			}
			for i, p := range tt.pages {
				off := int64(page * (i + 1))
				hole, err := f.Seek(off, unix.SEEK_HOLE)
				if err != nil {
					t.Fatal(err)
				}
				if (hole > off) != (p == 'x') {
					t.Errorf("page %d: written %v", i, hole > off)
				}
			}
		})
	}
}

// The page cache of the device holds old data when blocks are zeroed beneath it.
func TestZeroAndPageCache(t *testing.T) {
	for _, thin := range []bool{false, true} {
		path := devtest.Loop(t, image(t, t.TempDir(), garbage(mib)))
		f, err := os.Open(path) // keeps the cache alive
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cached := make([]byte, mib)
		if _, err := f.ReadAt(cached, 0); err != nil {
			t.Fatal(err)
		}
		vol := newVolume(format.Delta, mib, []format.Extent{zero(4096, mib/2)})
		patch, _ := vol.patch(t)
		r := newRun(path)
		r.system = fake(&fakeSystem{thin: thin})
		if r.do(t.Context(), pipe(patch)); r.err != nil {
			t.Fatal(r.err)
		}
		if _, err := f.ReadAt(cached, 0); err != nil {
			t.Fatal(err)
		}
		if string(cached) != string(vol.onto(garbage(mib), 1)) {
			t.Errorf("thin %v: the page cache holds old data", thin)
		}
	}
}

// fallocate of a device with 4096-byte sectors refuses what isn't aligned. It
// must be seen to, for small devices can't show it otherwise.
func TestZeroFallsBack(t *testing.T) {
	f, err := os.OpenFile(
		devtest.Loop(t, image(t, t.TempDir(), garbage(mib)), "--sector-size", "4096"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const mode = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	if err := unix.Fallocate(int(f.Fd()), mode, 512, 131072); err != unix.EINVAL {
		t.Skipf("this kernel takes what isn't aligned to sectors (%v): nothing has to fall back",
			err)
	}
	d := &destination{path: f.Name(), f: f, isDevice: true, size: mib}
	if err := d.zeroAligned(512, 131072); err != nil {
		t.Fatal(err)
	}
	if err := d.sync(); err != nil {
		t.Fatal(err)
	}
	vol := newVolume(format.Delta, mib, []format.Extent{zero(512, 131072)})
	wantContent(t, f.Name(), vol.onto(garbage(mib), 1))
}
