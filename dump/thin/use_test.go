package thin

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Of several runs that read an inactive snapshot at once, whoever is the last deactivates it, and
// none before.
func TestInactiveAtOnce(t *testing.T) {
	s := inactive(t)
	volumes := make([]*volume, 4)
	all := func(volumes []*volume, do func(i int) error) {
		var runs sync.WaitGroup
		for i := range volumes {
			runs.Go(func() {
				if err := do(i); err != nil {
					t.Error(err)
				}
			})
		}
		runs.Wait()
	}
	for range 3 {
		all(volumes, func(i int) (err error) {
			volumes[i], err = openVolume(t.Context(), "vg/s")
			return err
		})
		if t.Failed() {
			return
		}
		all(volumes[1:], func(i int) error { return volumes[1+i].close() })
		if !s.IsActive("s") {
			t.Error("it was deactivated though one run still reads it")
		}
		all(volumes, func(i int) (err error) { // again, but for the one that is still there
			if i > 0 {
				volumes[i], err = openVolume(t.Context(), "vg/s")
			}
			return err
		})
		all(volumes, func(i int) error { return volumes[i].close() })
	}
	if s.IsActive("s") || s.locks() != 0 {
		t.Errorf("active: %v, %d notes", s.IsActive("s"), s.locks())
	}
}

// Another run takes the device away while this one looks what it is: whether it is not there any
// more then, or still has a node.
func TestInactiveMeanwhile(t *testing.T) {
	for name, do := range map[string]string{
		"no node": `[ $n != 1 ] || mv $d/nodes/vg/s $d/aside/vg/s`,
		"a node that leads nowhere": `case $n in
1) mv $d/nodes/vg/s $d/aside/vg/s; mknod $d/dead b 240 77; ln -s $d/dead $d/nodes/vg/s ;;
2) rm $d/nodes/vg/s ;;
esac`,
	} {
		t.Run(name, func(t *testing.T) {
			s := inactive(t)
			other, err := openVolume(t.Context(), "vg/s")
			if err != nil {
				t.Fatal(err)
			}
			other.deactivate = nil // the program lvs does that
			if err := errors.Join(other.close(), other.use.f.Close()); err != nil {
				t.Fatal(err)
			}
			s.Before("lvs", do)
			v, err := openVolume(t.Context(), "vg/s")
			if err != nil {
				t.Fatal(err)
			}
			if err := v.close(); err != nil {
				t.Error(err)
			}
			if s.IsActive("s") || s.locks() != 0 {
				t.Errorf("active: %v, %d notes", s.IsActive("s"), s.locks())
			}
		})
	}
}

// A thin volume is known as one also while it is deactivated.
func TestNamedMeanwhile(t *testing.T) {
	s := inactive(t)
	if !Named(t.Context(), "vg/s") || !Named(t.Context(), "vg/o") || Named(t.Context(), "vg/none") {
		t.Error("not known for what they are")
	}
	sys := "$d/sys/dev/block/" + s.nums["o"].String()
	s.Before("dmsetup", `[ $n != 1 ] || `+
		`{ mv $d/nodes/vg/o $d/aside/vg/o; mv `+sys+`/dm $d/dm; exit 1; }`)
	if !Named(t.Context(), "vg/o") {
		t.Error("not known while it is deactivated")
	}
}

// The witness of an activation notes that nothing has come of it, or which device.
func TestWitnessOfActivation(t *testing.T) {
	s := inactive(t)
	v, err := openVolume(t.Context(), "vg/s")
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	l, err := lockVolume(t.Context(), v.lv)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := l.note(activation{Begun: true}); err != nil {
		t.Fatal(err)
	}
	if err := concludeActivation(l, v.lv.DeviceUUID()); err != nil {
		t.Fatal(err)
	}
	instance, err := s.nums["s"].Instance()
	var a activation
	if l.read(&a); err != nil || a != (activation{Instance: instance}) {
		t.Errorf("noted %+v, want the device %d (%v)", a, instance, err)
	}

	none, err := takeLock(t.Context(), "none", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := none.note(activation{Begun: true}); err != nil {
		t.Fatal(err)
	}
	w, err := callWitness(none, witnessVolume, "LVM-that-never-was")
	if err != nil {
		t.Fatal(err)
	}
	none.close() // as if this program were gone
	if l, err := tryLock(none.f.Name()); l != nil || err != nil {
		t.Errorf("the lock is free while the witness waits: %v", err)
	}
	w.close()
	if err := w.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	none, err = tryLock(none.f.Name())
	if none == nil || err != nil {
		t.Fatalf("the lock is not free after its end: %v", err)
	}
	defer none.close()
	a = activation{}
	if none.read(&a); a != (activation{}) {
		t.Errorf("noted %+v of what was never there", a)
	}
}

// LVM isn't asked about a disk that is no device of device-mapper.
func TestNamedDisk(t *testing.T) {
	s := show(t)
	disk, asked := s.Loop(s.file(1<<20)), filepath.Join(s.dir, "asked")
	s.Before("lvs", "echo >"+asked)
	if Named(t.Context(), disk.Path()) {
		t.Errorf("%s is taken for a thin volume", disk.Path())
	}
	if _, err := os.Stat(asked); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lvs was asked about a disk (%v)", err)
	}
}
