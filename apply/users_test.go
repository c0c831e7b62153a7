package apply

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/storage"
)

func TestUsers(t *testing.T) {
	vol := smallVolume()
	patch, _ := vol.patch(t)
	base := garbage(16384)
	vm := storage.User{Kind: storage.OpenForWriting, Process: "qemu", PID: 7}
	reader := storage.User{Kind: storage.Stacked, Device: "dm-7", ReadOnly: true}
	mounted := storage.User{Kind: storage.Mounted, Mountpoint: "/mnt",
		FSType: "ext4", ReadOnly: true}
	locked := storage.User{Kind: storage.Locked, Process: "qemu", PID: 7, ReadOnly: true}
	tests := []struct {
		name    string
		system  fakeSystem
		force   bool
		refused string
		warning string
	}{
		{"nobody", fakeSystem{}, false, "", ""},
		{"somebody who reads", fakeSystem{users: []storage.User{reader}}, false, "", ""},
		{"somebody who writes", fakeSystem{users: []storage.User{reader, vm}}, false,
			"is open for writing by qemu (pid 7)", ""},
		{"mounted, if only to read", fakeSystem{users: []storage.User{mounted}}, false,
			"is mounted on /mnt (ext4, ro)", ""},
		{"locked by another name", fakeSystem{users: []storage.User{locked}}, false,
			"is locked by qemu (pid 7)", ""},
		{"two who write", fakeSystem{users: []storage.User{vm, vm}}, false,
			"(pid 7); open for", ""},
		{"forced", fakeSystem{users: []storage.User{vm}}, true, "",
			"is open for writing by qemu (pid 7)"},
		{"perhaps somebody", fakeSystem{unseen: 3}, false, "",
			"3 processes could not be looked at"},
		{"forced, unknown", fakeSystem{usersErr: errors.New("no answer")}, true, "",
			"is not known: no answer"},
	}
	for _, p := range places {
		for _, tt := range tests {
			t.Run(p.name+"/"+tt.name, func(t *testing.T) {
				r := newRun(p.make(t, base))
				r.system, r.Force = fake(&tt.system), tt.force
				r.do(t.Context(), pipe(patch))
				if tt.refused != "" {
					r.wantError(t, ErrInUse, tt.refused)
					wantContent(t, r.Destination, base)
					return
				}
				if r.err != nil {
					t.Fatal(r.err)
				}
				r.wantWarning(t, tt.warning)
				wantContent(t, r.Destination, vol.onto(base, 3))
			})
		}
	}
}

// A mounted device is refused by the kernel, whoever is known to use it.
func TestMounted(t *testing.T) {
	dev := ext4Device(t, 16*mib)
	mount(t, "ext4", dev, "ro")
	base := readPastCache(t, dev)
	vol := newVolume(format.Delta, 16*mib,
		[]format.Extent{data(12*mib, 4096), zero(12*mib+4096, 131072)},
		[]format.Extent{zero(14*mib, 512)})
	patch, _ := vol.patch(t)
	tests := []struct {
		name   string
		system fakeSystem
		text   string
	}{
		{"known", fakeSystem{users: []storage.User{{Kind: storage.Mounted, Mountpoint: "/srv",
			FSType: "ext4", ReadOnly: true}}}, "is mounted on /srv (ext4, ro)"},
		{"unknown", fakeSystem{}, "is claimed by the kernel or another program"},
		{"system fails", fakeSystem{usersErr: errors.New("no answer")},
			"is claimed by the kernel or another program"},
		{"thin", fakeSystem{thin: true}, "is claimed by the kernel or another program"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRun(dev)
			r.system = fake(&tt.system)
			r.do(t.Context(), pipe(patch)).wantError(t, ErrInUse, tt.text)
			wantContent(t, dev, base)

			r = newRun(dev)
			r.system, r.Force = fake(&tt.system), true
			if r.do(t.Context(), pipe(patch)); r.err != nil {
				t.Fatal(r.err)
			}
			if tt.system.usersErr == nil {
				r.wantWarning(t, "forced: "+dev+" "+tt.text)
			}
			wantContent(t, dev, vol.onto(base, 2))
			apply(t, dev, pipe(original(t, base)), func(o *Options) { o.Force = true })
		})
	}
}

// original is a full patch that restores base.
func original(t *testing.T, base []byte) []byte {
	t.Helper()
	vol := newVolume(format.Full, int64(len(base)))
	for off := 0; off < len(base); off += format.MaxSegmentData {
		b := base[off:min(off+format.MaxSegmentData, len(base))]
		vol.segments = append(vol.segments,
			[]piece{{Extent: data(int64(off), int64(len(b))), data: b}})
	}
	patch, _ := vol.patch(t)
	return patch
}

func TestLocked(t *testing.T) {
	vol := smallVolume()
	patch, _ := vol.patch(t)
	base := garbage(16384)
	posix := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart, Start: 100, Len: 1}
	tests := []struct {
		name string
		lock func(fd uintptr) error
	}{
		{"flock", func(fd uintptr) error { return unix.Flock(int(fd), unix.LOCK_SH) }},
		{"byte as QEMU does",
			func(fd uintptr) error { return unix.FcntlFlock(fd, unix.F_OFD_SETLK, &posix) }},
		{"byte of a process",
			func(fd uintptr) error { return unix.FcntlFlock(fd, unix.F_SETLK, &posix) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := image(t, t.TempDir(), base)
			other, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if err := tt.lock(other.Fd()); err != nil {
				t.Fatal(err)
			}
			newRun(path).do(t.Context(), pipe(patch)).wantError(t, ErrInUse,
				"locked by another program")
			wantContent(t, path, base)
			// a process loses its locks when it closes any file
			if err := tt.lock(other.Fd()); err != nil {
				t.Fatal(err)
			}
			r := apply(t, path, pipe(patch), func(o *Options) { o.Force = true })
			r.wantWarning(t, "forced: "+path+" is locked by another program")
			wantContent(t, path, vol.onto(base, 3))
		})
	}
}

// While one apply waits for its pipe, a second one is refused, and leaves the
// lock where it is.
func TestTwoAtOnce(t *testing.T) {
	vol := smallVolume()
	patch, ends := vol.patch(t)
	base := garbage(16384)
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			path := p.make(t, base)
			in, out := io.Pipe()
			first, started, done := newRun(path), make(chan bool), make(chan bool)
			first.onStep = func(int64) {
				first.onStep = nil
				close(started)
			}
			go func() {
				first.do(t.Context(), in)
				in.CloseWithError(io.ErrClosedPipe)
				close(done)
			}()
			go out.Write(patch[:ends[1]])
			<-started
			for range 2 {
				newRun(path).do(t.Context(), pipe(patch)).wantError(t, ErrInUse, path)
				newRun(path).do(t.Context(), bytes.NewReader(patch)).wantError(t, ErrInUse, path)
			}
			out.Write(patch[ends[1]:])
			out.Close()
			if <-done; first.err != nil {
				t.Fatal(first.err)
			}
			wantContent(t, path, vol.onto(base, 3))
		})
	}
}
