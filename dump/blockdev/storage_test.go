package blockdev

import (
	"os"
	"path/filepath"
	"testing"

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
	got, err := Below(identityOf(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]ID(nil), want...), got); diff != "" {
		t.Errorf("below %s (-want +got):\n%s", path, diff)
	}
}

func TestBelow(t *testing.T) {
	path := image(t, fsSize+2<<20)
	file := identityOf(t, path)
	low := losetup(t, path)
	top := losetup(t, low, "--offset", "4096")
	part := addPartition(t, top)
	checkBelow(t, path)
	checkBelow(t, low, file)
	checkBelow(t, part, identityOf(t, top), identityOf(t, low), file)
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
			run(t, "truncate", "-s", "1M", path)
		},
		"folder mounted over": func(t *testing.T, dir, path string) {
			mountOn(t, dir, "-t", "tmpfs", "tmpfs")
			run(t, "truncate", "-s", "1M", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "image")
			run(t, "truncate", "-s", "1M", path)
			file := identityOf(t, path)
			dev := losetup(t, path)
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
