package apply

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/storage/devtest"
)

// largeVolume is a full patch of n MiB of data in segments of 4 MiB.
func largeVolume(n int64) *volume {
	var segments [][]format.Extent
	for off := int64(0); off < n*mib; off += 4 * mib {
		segments = append(segments, []format.Extent{data(off, 4*mib)})
	}
	return newVolume(format.Full, n*mib, segments...)
}

// What is written goes to the device in windows.
func TestWindows(t *testing.T) {
	vol := largeVolume(3*windowData/mib + 8)
	patch, _ := vol.patch(t)
	base := make([]byte, vol.header.VolumeSize)
	want := vol.onto(base, len(vol.segments))
	dir := mount(t, "tmpfs", "none", "size=1g")
	path := image(t, dir, base)
	apply(t, path, bytes.NewReader(patch))
	wantContent(t, path, want)

	path = devtest.Loop(t, image(t, dir, base))
	apply(t, path, bytes.NewReader(patch))
	wantContent(t, path, want)
}

func TestDestinationFull(t *testing.T) {
	vol := largeVolume(16)
	patch, _ := vol.patch(t)
	ext4 := mount(t, "ext4", ext4Device(t, 9*mib), "rw")
	for _, dir := range []string{mount(t, "tmpfs", "none", "size=9m"), ext4} {
		path := filepath.Join(dir, "image")
		r := newRun(path)
		r.Create = true
		r.do(t.Context(), bytes.NewReader(patch))
		p := r.wantPartial(t)
		if !errors.Is(r.err, unix.ENOSPC) || strings.Contains(r.err.Error(), "\n") {
			t.Errorf("error %v", r.err)
		}
		if p.Through != 4*mib && p.Through != 8*mib || p.Durable {
			t.Errorf("%+v", p)
		}
		if want := vol.onto(make([]byte, 16*mib), int(p.Through/(4*mib))); !bytes.Equal(
			readPastCache(t, path)[:p.Through], want[:p.Through]) {
			t.Error("what was written is not there")
		}
	}
}

// brokenDevice is a loop device of the given size with room for a part of it
// only: what the device can't store is lost, and the kernel learns of that when
// it writes its cache back.
func brokenDevice(t *testing.T, size int64) string {
	t.Helper()
	path := image(t, mount(t, "tmpfs", "none", "size=8m"), nil)
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return devtest.Loop(t, path)
}

// An error that only the flush at the end meets.
func TestFlushFails(t *testing.T) {
	vol := largeVolume(16)
	patch, _ := vol.patch(t)
	r := newRun(brokenDevice(t, 16*mib))
	r.do(t.Context(), bytes.NewReader(patch))
	p := r.wantPartial(t)
	if p.Durable || p.Through != 16*mib ||
		!strings.Contains(r.err.Error(), "flush "+r.Destination) {
		t.Errorf("%+v", p)
	}
}

// The pipe breaks and the device is broken, too: both are told, and nothing is
// said to be durable.
func TestPipeAndFlushFail(t *testing.T) {
	vol := largeVolume(16)
	patch, ends := vol.patch(t)
	r := newRun(brokenDevice(t, 16*mib))
	r.do(t.Context(), pipe(patch[:ends[3]]))
	p := r.wantPartial(t)
	if p.Durable || !errors.Is(r.err, format.ErrTruncated) ||
		!strings.Contains(r.err.Error(), "flush "+r.Destination) {
		t.Errorf("%+v", p)
	}
	if strings.Contains(r.err.Error(), "\n") {
		t.Errorf("%v: more than one line", r.err)
	}
}

// An error in the middle of a long patch is noticed soon. The kernel then
// forgets it: nothing that comes later may be taken for durable.
func TestWriteBackFails(t *testing.T) {
	vol := largeVolume(5 * windowData / mib)
	patch, _ := vol.patch(t)
	r := newRun(brokenDevice(t, vol.header.VolumeSize))
	r.do(t.Context(), bytes.NewReader(patch))
	p := r.wantPartial(t)
	if p.Durable || p.Through >= 4*windowData {
		t.Errorf("%+v: noticed late, or not at all", p)
	}
	if m := r.err.Error(); !strings.Contains(m, "flush "+r.Destination+": ") ||
		strings.Contains(m, "; then ") {
		t.Errorf("error %v", r.err)
	}
}

// Once the destination has failed it isn't asked again, for the kernel has told
// and then knows nothing of it.
func TestFailureSticks(t *testing.T) {
	tests := map[string]func(*destination) error{
		"at the end": func(d *destination) error {
			return errors.Join(fill(d, windowData-mib), d.sync())
		},
		"in a window": func(d *destination) error { return fill(d, 8*windowData) },
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := os.OpenFile(brokenDevice(t, 8*windowData), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			d := &destination{path: f.Name(), f: f, isDevice: true}
			if err := fail(d); err == nil {
				t.Fatal("the device didn't fail")
			}
			first := d.failed
			_ = f.Sync() // brings what is left to the device, and tells if that failed, too
			if err := f.Sync(); err != nil {
				t.Errorf("the kernel tells it again: %v", err) // then this test proves nothing
			}
			if again := d.sync(); again == nil || again != first {
				t.Errorf("%v, then %v", first, again)
			}
		})
	}
}

// fill writes the first size bytes of a destination.
func fill(d *destination, size int64) error {
	b := garbage(mib)
	for off := int64(0); off < size; off += mib {
		if err := d.write(b, off); err != nil {
			return err
		}
	}
	return nil
}

// A device that can neither zero nor write must not pass for zeroed. These
// extents are too small to be zeroed but by writing.
func TestZeroFails(t *testing.T) {
	var extents []format.Extent
	for off := int64(0); off < 64*mib; off += 32 << 10 {
		extents = append(extents, zero(off, 31<<10))
	}
	vol := newVolume(format.Delta, 64*mib, extents)
	patch, _ := vol.patch(t)
	r := newRun(brokenDevice(t, 64*mib))
	r.do(t.Context(), pipe(patch))
	if p := r.wantPartial(t); p.Durable {
		t.Errorf("%+v", p)
	}
}
