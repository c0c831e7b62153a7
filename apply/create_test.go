package apply

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format"
)

func create(o *Options) { o.Create = true }

func TestCreate(t *testing.T) {
	vol := newVolume(format.Full, 8*mib+1000, []format.Extent{data(0, 4096), zero(4096, 4*mib)},
		[]format.Extent{data(4*mib+4096, 65536), zero(4*mib+69632, 4*mib-69632+1000)})
	patch, _ := vol.patch(t)
	want := vol.onto(make([]byte, 8*mib+1000), 2)
	folders := map[string]string{"disk": t.TempDir(), "tmpfs": mount(t, "tmpfs", "none", "size=1m"),
		"no holes": mount(t, "ramfs", "none", "mode=0700")}
	for name, dir := range folders {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "new")
			r := apply(t, path, bytes.NewReader(patch), create)
			r.wantWarning(t, "")
			if !r.report.Created || r.report.DestinationSize != 8*mib+1000 {
				t.Errorf("report %+v", r.report)
			}
			wantSteps(t, r.steps, 8*mib+1000)
			wantContent(t, path, want)
			st, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if st.Mode() != 0o600 {
				t.Errorf("mode %v", st.Mode())
			}
			if got := allocated(t, path); name != "no holes" && got > 128<<10 {
				t.Errorf("%d bytes on disk", got)
			}
			// it's no matter that it's there now
			if r := apply(t, path, pipe(patch), create); r.report.Created {
				t.Error("created again")
			}
			wantContent(t, path, want)
		})
	}
}

// A volume of zeros needs no write at all, and yet the file must stay.
func TestCreateZeros(t *testing.T) {
	vol := newVolume(format.Full, 1<<40, []format.Extent{zero(0, 1<<40)})
	patch, _ := vol.patch(t)
	path := filepath.Join(t.TempDir(), "new")
	r := apply(t, path, pipe(patch), create)
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() != 1<<40 || allocated(t, path) > 64<<10 || !r.report.Created {
		t.Errorf("%d bytes, %d of them on disk; report %+v", st.Size(),
			allocated(t, path), r.report)
	}
}

// Nothing is left behind when nothing came of it.
func TestCreateFails(t *testing.T) {
	full := newVolume(format.Full, 8192, []format.Extent{zero(0, 512)},
		[]format.Extent{data(512, 512), zero(1024, 7168)})
	patch, ends := full.patch(t)
	bad := bytes.Clone(patch)
	bad[ends[0]+30] ^= 1
	delta, _ := smallVolume().patch(t)
	huge, _ := newVolume(format.Full, math.MaxInt64,
		[]format.Extent{zero(0, math.MaxInt64)}).patch(t)
	tests := []struct {
		name  string
		patch io.Reader
		kind  error
	}{
		{"delta", pipe(delta), ErrWrongBase},
		{"cut in the header", pipe(patch[:100]), format.ErrTruncated},
		{"cut in the first segment", pipe(patch[:ends[0]-1]), format.ErrTruncated},
		{"only zeros before the cut", pipe(patch[:ends[0]]), format.ErrTruncated},
		{"bad second segment", pipe(bad), format.ErrCorrupt},
		{"cut file", bytes.NewReader(patch[:ends[1]]), format.ErrTruncated},
		{"too large for any file system", pipe(huge), unix.EFBIG},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			r := newRun(filepath.Join(dir, "new"))
			r.Create = true
			r.do(t.Context(), tt.patch).wantError(t, tt.kind, "")
			if left := names(t, dir); len(left) > 0 || r.report.Created {
				t.Errorf("left: %q, report %+v", left, r.report)
			}
		})
	}
	t.Run("data before the cut", func(t *testing.T) {
		r := newRun(filepath.Join(t.TempDir(), "new"))
		r.Create = true
		r.do(t.Context(), pipe(patch[:ends[1]]))
		if p := r.wantPartial(t); p.Through != 8192 || !p.Durable || !r.report.Created {
			t.Errorf("%+v, report %+v", p, r.report)
		}
		wantContent(t, r.Destination, full.onto(make([]byte, 8192), 2))
	})
}

func TestCreateDryRun(t *testing.T) {
	patch, _ := fullVolume().patch(t)
	dir := t.TempDir()
	dry := func(o *Options) { o.DryRun = true }
	r := apply(t, filepath.Join(dir, "new"), pipe(patch), create, dry)
	if left := names(t, dir); len(left) > 0 || !r.report.Created ||
		r.report.DestinationSize != 3*mib {
		t.Errorf("left: %q, report %+v", left, r.report)
	}
	r = newRun(filepath.Join(dir, "none", "new"))
	r.Create, r.DryRun = true, true
	r.do(t.Context(), pipe(patch)).wantError(t, unix.ENOENT, "write to its folder")
}

// A file that takes the place of a device would fill the memory, and be lost.
func TestCreateAmongDevices(t *testing.T) {
	patch, _ := smallVolume().patch(t)
	full, _ := fullVolume().patch(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/dev", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/dev/lvmsync-test-no-such-device", "/dev/lvmsync-no-vg/lv",
		link + "/lvmsync-test"} {
		r := newRun(path)
		r.Create = true
		if r.do(t.Context(), pipe(full)); r.err == nil {
			os.Remove(path)
		}
		r.wantError(t, ErrMissing, "kept in memory")
		newRun(path).do(t.Context(), pipe(patch)).wantError(t, ErrMissing, path)
	}
}
