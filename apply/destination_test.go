package apply

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lvmsync/format"
	"lvmsync/format/storage/devtest"

	"golang.org/x/sys/unix"
)

// What isn't a block device or a regular file is never opened: that of a pipe
// without a reader would hang.
func TestKindOfDestination(t *testing.T) {
	patch, _ := smallVolume().patch(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink(filepath.Join(dir, "nothing"), dangling); err != nil {
		t.Fatal(err)
	}
	const wrongKind = "is neither a block device nor a regular file"
	tests := []struct {
		name, path string
		kind       error
		text       string
	}{
		{"folder", dir, nil, wrongKind},
		{"character device", "/dev/null", nil, wrongKind},
		{"fifo", fifo, nil, wrongKind},
		{"dangling link", dangling, ErrMissing,
			dangling + " is a symbolic link that leads nowhere"},
		{"missing", filepath.Join(dir, "none"), ErrMissing, filepath.Join(dir, "none")},
		{"below a missing folder", filepath.Join(dir, "none", "none"), ErrMissing, "none/none"},
		{"below a file", image(t, dir, nil) + "/x", unix.ENOTDIR, "image/x"},
		{"no name", "", ErrMissing, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			newRun(tt.path).do(t.Context(), pipe(patch)).wantError(t, tt.kind, tt.text)
		})
	}
}

func TestSymlinkToDevice(t *testing.T) {
	vol := fullVolume()
	patch, _ := vol.patch(t)
	dev := devtest.Loop(t, image(t, t.TempDir(), garbage(3*mib)))
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dev, link); err != nil {
		t.Fatal(err)
	}
	apply(t, link, pipe(patch))
	wantContent(t, dev, vol.onto(garbage(3*mib), 3))
}

func TestReadOnly(t *testing.T) {
	vol := fullVolume()
	patch, _ := vol.patch(t)
	backing := image(t, t.TempDir(), garbage(3*mib))
	dev := devtest.Loop(t, backing, "--read-only")
	newRun(dev).do(t.Context(), pipe(patch)).wantError(t, nil, dev+": the device is read-only")

	dir := mount(t, "tmpfs", "none", "size=8m")
	path := image(t, dir, garbage(3*mib))
	devtest.Run(t, "mount", "-o", "remount,ro", dir)
	newRun(path).do(t.Context(), pipe(patch)).wantError(t, unix.EROFS, "open "+path)
	wantContent(t, path, garbage(3*mib))
}

func TestSize(t *testing.T) {
	vol := deltaVolume()
	patch, _ := vol.patch(t)
	tests := []struct {
		name         string
		size         int64
		allowSmaller bool
		cut          int64
		warning      string
	}{
		{"equal", 3 * mib, false, 0, ""},
		{"larger", 4 * mib, false, 0, "what lies beyond is left alone"},
		{"a sector smaller", 3*mib - 512, false, -1, ""},
		{"cut in a zero extent", 3*mib - 512, true, 512, "the last 512 are cut off"},
		{"cut in a data extent", 2*mib + 1024, true, 6144 + 4608, "are cut off"},
		{"cut between extents", mib, true, 300032 - 512 + 8192 + 4608, "are cut off"},
		{"cut off altogether", 512, true, 0, ""}, // see below
		{"empty", 0, true, 0, ""},
	}
	all := int64(0)
	for _, s := range vol.segments {
		for _, p := range s {
			all += p.Len
		}
	}
	for _, p := range places {
		for _, tt := range tests {
			if !p.canHave(tt.size) {
				continue
			}
			t.Run(p.name+"/"+tt.name, func(t *testing.T) {
				if tt.size < mib {
					tt.cut, tt.warning = all-tt.size, "are cut off"
				}
				base := garbage(tt.size)
				r := newRun(p.make(t, base))
				r.AllowSmaller = tt.allowSmaller
				r.do(t.Context(), pipe(patch))
				if tt.cut < 0 {
					r.wantError(t, ErrTooSmall, "bytes, the volume 3145728")
					wantContent(t, r.Destination, base)
					return
				}
				if r.err != nil || r.report.Cut != tt.cut {
					t.Fatalf("error %v, %d bytes cut, want %d", r.err, r.report.Cut, tt.cut)
				}
				r.wantWarning(t, tt.warning)
				wantContent(t, r.Destination, vol.onto(base, 2))
				wantSteps(t, r.steps, all)
			})
		}
	}
}

// A name that leads elsewhere since it was opened is noticed: what is checked by
// name must be what is written to.
func TestReplacedWhileOpened(t *testing.T) {
	dir := t.TempDir()
	path := image(t, dir, garbage(16384))
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(path)
	d := &destination{path: path}
	if err := d.open(r.Options); err != nil {
		t.Fatal(err)
	}
	defer d.f.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	patches := []format.Header{smallVolume().header}
	for range 2 { // first it's gone, then it's another one
		if err := d.check(st, patches, r.Options); err == nil {
			t.Error("not noticed")
		}
		image(t, dir, garbage(16384))
	}
}

func TestSystemFails(t *testing.T) {
	vol := smallVolume()
	patch, _ := vol.patch(t)
	broken := errors.New("no answer")
	for _, system := range []*fakeSystem{{usersErr: broken}, {identifyErr: broken}} {
		r := newRun(image(t, t.TempDir(), garbage(16384)))
		r.system = fake(system)
		r.do(t.Context(), pipe(patch)).wantError(t, broken, r.Destination)
		wantContent(t, r.Destination, garbage(16384))
	}
}
