package apply

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/storage/devtest"
)

// Where the bytes are counts for more than what the device is called.
func TestOwnSourceByPlace(t *testing.T) {
	loop := format.Place{ID: "7:0 diskseq 12"}
	file := format.Place{ID: "8:1 inode 99", Born: "2026-01-02T03:04:05Z",
		Offset: 1 << 20, Length: 1 << 20}
	part := func(off, n int64) format.Place {
		p := file
		p.Offset, p.Length = off, n
		return p
	}
	source := format.Source{BootID: "boot-1", DeviceID: "7:0 diskseq 12",
		Storage: []format.Place{loop, file}}
	for _, test := range []struct {
		name string
		boot string
		id   string
		at   []format.Place
		same bool
	}{
		{"the device", "boot-1", "7:0 diskseq 12", []format.Place{loop, file}, true},
		{"the file", "boot-1", "8:1 inode 99", []format.Place{part(0, 0)}, true},
		{"a part of it", "boot-1", "7:1 diskseq 13",
			[]format.Place{{ID: "7:1 diskseq 13"}, part(2<<20-512, 512)}, true},
		{"another part", "boot-1", "7:1 diskseq 13",
			[]format.Place{{ID: "7:1 diskseq 13"}, part(2<<20, 512)}, false},
		{"after a reboot", "boot-2", "7:0 diskseq 12", []format.Place{loop, file}, false},
		{"a later file with the number", "boot-1", "8:1 inode 99",
			[]format.Place{{ID: file.ID, Born: "2026-01-03T00:00:00Z"}}, false},
		{"places unknown", "boot-1", "7:0 diskseq 12", nil, true},
	} {
		dst := format.Source{BootID: test.boot, DeviceID: test.id, Storage: test.at}
		if got := sameSource(format.Header{Host: "elsewhere.example", Source: source},
			dst); got != test.same {
			t.Errorf("%s: same %v, want %v", test.name, got, test.same)
		}
	}
}

// A destination that shares storage with the source is refused like the source itself, if the patch
// is of this machine.
func TestOwnSourceInStack(t *testing.T) {
	vols := map[format.Kind]*volume{format.Full: fullVolume(), format.Delta: deltaVolume(),
		format.Undo: deltaVolume()}
	vols[format.Undo].header.Kind = format.Undo
	for kind, vol := range vols {
		for _, boot := range []string{"boot-1", "boot-2"} {
			for _, force := range []bool{false, true} {
				vol.header.Source = format.Source{BootID: boot, DeviceID: "253:7"}
				patch, _ := vol.patch(t)
				base := garbage(vol.header.VolumeSize)
				r := newRun(image(t, t.TempDir(), base))
				r.system, r.Force = fake(&fakeSystem{shares: true,
					source: format.Source{BootID: "boot-1", DeviceID: "8:0"}}), force
				r.do(t.Context(), pipe(patch))
				switch {
				case boot == "boot-1" && kind != format.Undo && !(force && kind == format.Full):
					r.wantError(t, ErrOwnSource, r.Destination)
					wantContent(t, r.Destination, base)
				case r.err != nil:
					t.Errorf("%s of %s, force %v: %v", kind, boot, force, r.err)
				case boot == "boot-1" && kind == format.Full:
					r.wantWarning(t, "is where the patch came from")
				}
			}
		}
	}
}

// The files behind a device are locked like an image file.
func TestLockedBelow(t *testing.T) {
	vol := smallVolume()
	patch, _ := vol.patch(t)
	base := garbage(16384)
	path := image(t, t.TempDir(), base)
	dev := devtest.Loop(t, path)
	system := &fakeSystem{backing: []string{path}}
	other := lockedFile(t, path)
	r := newRun(dev)
	r.system = fake(system)
	r.do(t.Context(), pipe(patch)).wantError(t, ErrInUse,
		path+", on which "+dev+" lies, is locked by another program")
	wantContent(t, dev, base)
	other.Close()
	r = apply(t, dev, pipe(patch), func(o *Options) { o.system = fake(system) })
	r.wantWarning(t, "")
	lockedFile(t, path) // it has been let go
	r = apply(t, dev, pipe(patch), func(o *Options) {
		o.system = fake(&fakeSystem{missing: []string{"/image (gone)"}})
	})
	r.wantWarning(t, "the file behind "+dev+" can't be locked: /image (gone)")
}

// lockedFile opens a file and locks it until it's closed, or the test ends.
func lockedFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	return f
}
