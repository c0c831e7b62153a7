package thin

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/format/storage/kernel"
)

// A fakePool is a pool whose dmsetup is a script: it holds a metadata snapshot in block 1 while
// there is a file "held".
type fakePool struct {
	*pool
	dir string
	l   *lock
	in  *blockdev.File
}

// newFakePool makes one whose dmsetup does what is told after, and before, a reservation.
func newFakePool(t *testing.T, before, after string) fakePool {
	t.Helper()
	dir := t.TempDir()
	script := `#!/bin/sh
d=${0%/*}
case "$*" in
*reserve_metadata_snap*) ` + before +
		`; if [ -e $d/held ]; then echo "Device or resource busy" >&2; exit 1; fi; ` +
		`: >$d/held; ` + after + ` ;;
*release_metadata_snap*) rm $d/held ;;
status*) held=-; [ ! -e $d/held ] || held=1
  echo "0 1000 thin-pool 1 10/100 5/50 $held rw discard_passdown queue_if_no_space - 128" ;;
esac
`
	metadata := filepath.Join(dir, "metadata")
	for path, content := range map[string]string{
		filepath.Join(dir, "dmsetup"): script,
		metadata:                      strings.Repeat("m", 8192),
	} {
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	old := lockDir
	t.Cleanup(func() { lockDir = old })
	lockDir = filepath.Join(dir, "locks")
	f := fakePool{pool: &pool{device: devmapper.Device{
		Name: "vg-pool-tpool", UUID: "LVM-x-tpool", Num: kernel.DevNum{Major: 4000, Minor: 1},
	}}, dir: dir}
	var err error
	if f.l, err = f.lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.l.close)
	if f.in, err = blockdev.Open(metadata); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.in.Close() })
	return f
}

func (f fakePool) held() bool {
	_, err := os.Stat(filepath.Join(f.dir, "held"))
	return err == nil
}

func (f fakePool) noted() (r reservation) {
	f.l.read(&r)
	return r
}

func TestReserve(t *testing.T) {
	for _, tt := range []struct {
		name, before, after string
		reserved, noted     bool
		err                 error
	}{
		{"well", ":", ":", true, true, nil},
		{"killed after", ":", "kill -TERM $$", true, true, devmapper.ErrCutShort},
		{"killed before", "kill -TERM $$", ":", false, false, devmapper.ErrCutShort},
		{"another was quicker", ": >$d/held", ":", false, false, ErrHeld},
		{"another was quicker, and then killed", `: >$d/held; echo busy >&2; kill -TERM $$`, ":",
			false, false, devmapper.ErrCutShort},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakePool(t, tt.before, tt.after)
			_, reserved, err := f.reserve(context.Background(), f.l, f.in)
			if reserved != tt.reserved || !errors.Is(err, tt.err) {
				t.Errorf("reserved %v, %v", reserved, err)
			}
			if r := f.noted(); r.Begun || (r.Block == 1 && r.Sum != 0) != tt.noted {
				t.Errorf("noted %+v", r)
			}
		})
	}
}

// What is noted tells ours from somebody else's.
func TestReleaseStale(t *testing.T) {
	for _, tt := range []struct {
		name string
		note reservation
		ours bool
		want string
	}{
		{"ours", reservation{Block: 1, Sum: ^uint64(0)}, true, ""},
		{"nothing noted", reservation{}, false, "held by another program: vg-pool-tpool"},
		{"another block", reservation{Block: 2, Sum: ^uint64(0)}, false,
			"held by another program: vg-pool-tpool"},
		{"other content", reservation{Block: 1, Sum: 5}, false,
			"held by another program: vg-pool-tpool"},
		{"nobody knows", reservation{Begun: true}, false, "which can't be told"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakePool(t, ":", ":")
			if err := f.message(context.Background(), "reserve_metadata_snap",
				devmapper.Trace{}); err != nil {
				t.Fatal(err)
			}
			if tt.note.Sum == ^uint64(0) {
				tt.note.Sum = blockSum(f.in, 1)
			}
			if err := f.l.note(tt.note); err != nil {
				t.Fatal(err)
			}
			err := f.releaseStale(context.Background(), f.l, f.in)
			if tt.ours != (err == nil) || f.held() == tt.ours ||
				err != nil && !errors.Is(err, ErrHeld) {
				t.Errorf("held %v, %v", f.held(), err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// The witness notes what has become of a reservation once nobody else can, and keeps the lock until
// then.
func TestWitness(t *testing.T) {
	for _, tt := range []struct {
		name string
		held bool
		said string
		want reservation
	}{
		{"reserved", true, "", reservation{Block: 1}},
		{"not reserved", false, "", reservation{}},
		{"somebody else's", true, "Device or resource busy\n", reservation{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakePool(t, ":", ":")
			if tt.held {
				if err := os.WriteFile(filepath.Join(f.dir, "held"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if tt.want.Block != 0 {
					tt.want.Sum = blockSum(f.in, 1)
				}
			}
			if err := f.l.note(reservation{Begun: true}); err != nil {
				t.Fatal(err)
			}
			w, err := callWitness(f.l, witnessPool, f.device.Num.String(), f.in.Name())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.stderr.WriteString(tt.said); err != nil {
				t.Fatal(err)
			}
			f.l.close() // as if this program were gone
			if l, err := tryLock(f.l.f.Name()); l != nil || err != nil {
				t.Errorf("the lock is free while the witness waits: %v", err)
			}
			w.close()
			if err := w.cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			l, err := tryLock(f.l.f.Name())
			if l == nil || err != nil {
				t.Fatalf("the lock is not free after its end: %v", err)
			}
			defer l.close()
			var got reservation
			if l.read(&got); got != tt.want {
				t.Errorf("noted %+v, want %+v", got, tt.want)
			}
		})
	}
}

// A lock whose file was removed by the one who had it is none.
func TestLockRemoved(t *testing.T) {
	f := newFakePool(t, ":", ":")
	path := f.l.f.Name()
	waiting := make(chan *lock, 1)
	go func() {
		l, err := f.lock(context.Background())
		if err != nil {
			t.Error(err)
		}
		waiting <- l
	}()
	if err := f.l.remove(); err != nil {
		t.Fatal(err)
	}
	f.l.close()
	l := <-waiting
	defer l.close()
	if another, err := tryLock(path); another != nil || err != nil {
		t.Errorf("two have the lock: %v", err)
	}
}
