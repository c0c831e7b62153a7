package storage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lvmsync/format/storage/devtest"

	"github.com/google/go-cmp/cmp"
)

func identityOf(t *testing.T, path string) ID {
	t.Helper()
	id, err := Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func checkBelow(t *testing.T, path string, want ...ID) {
	t.Helper()
	storage, err := Of(identityOf(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]ID{}, want...), storage.below()); diff != "" {
		t.Errorf("below %s (-want +got):\n%s", path, diff)
	}
}

func TestBelow(t *testing.T) {
	path := devtest.Hole(t, fsSize+2<<20)
	file := identityOf(t, path)
	low := devtest.Loop(t, path)
	top := devtest.Loop(t, low, "--offset", "4096")
	part := addPartition(t, top)
	checkBelow(t, path)
	checkBelow(t, low, file)
	checkBelow(t, part, identityOf(t, top), identityOf(t, low), file)
}

func TestBelowOnOverlay(t *testing.T) {
	devtest.NeedRoot(t)
	dir := t.TempDir()
	layers := "lowerdir=" + t.TempDir() + ",upperdir=" + t.TempDir() + ",workdir=" + t.TempDir()
	if out, err := exec.Command("mount", "-t", "overlay", "-o", layers, "overlay",
		dir).CombinedOutput(); err != nil {
		t.Skipf("no overlay file system here: %s", out)
	}
	t.Cleanup(func() { devtest.Run(t, "umount", "--lazy", dir) })
	path := filepath.Join(dir, "image")
	devtest.Run(t, "truncate", "-s", "1M", path)
	dev := devtest.Loop(t, path)
	checkBelow(t, dev, identityOf(t, path))
	checkUsers(t, path, "behind loop device "+dev)
	hold(t, "<>", path)
	checkUsers(t, dev, "open for writing by sh (pid N) through "+path+", beneath it")
}

// Who may not ask a loop device knows its file by name.
func TestBelowWithoutRoot(t *testing.T) {
	var dev, path string
	if os.Geteuid() == 0 {
		path = devtest.Hole(t, 1<<20)
		for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		dev = devtest.Loop(t, path, "--offset", "4096")
		t.Setenv("TEST_DEVICE", dev)
		t.Setenv("TEST_FILE", path)
	}
	said := asNobody(t, func() {
		file, _ := Identify(os.Getenv("TEST_FILE"))
		id, err := Identify(os.Getenv("TEST_DEVICE"))
		if err != nil {
			fmt.Println(err)
			return
		}
		parts, err := partsOf(id, readTable)
		fmt.Println(len(parts) == 1 && parts[0].to == file && parts[0].down == span{4096, 1 << 20},
			err)
	})
	if said != "true <nil>" {
		t.Error(said)
	}
}

// Whatever becomes of the name of a backing file, the loop device stays on it.
func TestBelowUnnamed(t *testing.T) {
	for name, hide := range map[string]func(t *testing.T, dir, path string){
		"deleted": func(t *testing.T, dir, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"another file has the name": func(t *testing.T, dir, path string) {
			if err := os.Rename(path, path+"-moved"); err != nil {
				t.Fatal(err)
			}
			devtest.Run(t, "truncate", "-s", "1M", path)
		},
		"folder mounted over": func(t *testing.T, dir, path string) {
			mountOn(t, dir, "-t", "tmpfs", "tmpfs")
			devtest.Run(t, "truncate", "-s", "1M", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "image")
			devtest.Run(t, "truncate", "-s", "1M", path)
			file := identityOf(t, path)
			dev := devtest.Loop(t, path)
			hide(t, dir, path)
			checkBelow(t, dev, file)
			if now, err := Identify(path); err == nil {
				if now == file {
					t.Fatal("the test has not hidden the file")
				}
				checkUsers(t, path) // nobody uses what has its name now
			}
		})
	}
}

// Loop devices share storage if any of their bytes are the same, whatever lies between and whatever
// name the file has.
func TestOverlapsOfLoops(t *testing.T) {
	const mib = 1 << 20
	file := devtest.Hole(t, 4*mib)
	all := devtest.Loop(t, file)
	first := devtest.Loop(t, file, "--sizelimit", "1M")
	second := devtest.Loop(t, file, "--offset", "1M")
	upon := devtest.Loop(t, second, "--offset", "1M")
	renamed := file + "2"
	if err := os.Rename(file, renamed); err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{"file": renamed, "all": all, "first": first, "second": second,
		"upon": upon}
	overlap, start := map[[2]string]bool{}, map[[2]string]bool{}
	note := func(in map[[2]string]bool, group ...string) {
		for _, a := range group {
			for _, b := range group {
				in[[2]string{a, b}] = true
			}
		}
	}
	note(overlap, "file", "all", "first")
	note(overlap, "file", "all", "second", "upon")
	note(start, "file", "all", "first")
	note(start, "second")
	note(start, "upon")
	for a := range paths {
		for b := range paths {
			x, y := identityOf(t, paths[a]), identityOf(t, paths[b])
			one, err := Of(x)
			if err != nil {
				t.Fatal(err)
			}
			two, err := Of(y)
			if err != nil {
				t.Fatal(err)
			}
			if got := one.Overlaps(two); got != overlap[[2]string{a, b}] {
				t.Errorf("%s and %s share storage: %v", a, b, got)
			}
			if got, err := SameStart(x, y, 512); err != nil || got != start[[2]string{a, b}] {
				t.Errorf("%s and %s start alike: %v, %v", a, b, got, err)
			}
		}
	}
}
