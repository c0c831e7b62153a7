package durable

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// begin begins a file in a folder of dir that is renamed then, and perhaps replaced.
func begin(t *testing.T, make func(FS, string) (*File, error), replaced bool) (f *File, folder,
	moved string) {
	t.Helper()
	dir := t.TempDir()
	folder, moved = filepath.Join(dir, "folder"), filepath.Join(dir, "moved")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := make(FS{}, filepath.Join(folder, "x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(folder, moved); err != nil {
		t.Fatal(err)
	}
	if replaced {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "x"), []byte("another's"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f, folder, moved
}

// Nothing is left in a folder that was renamed meanwhile, and nothing is taken from the one
// that has its name now.
func TestFolderMoves(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		for name, make := range map[string]func(FS, string) (*File, error){"create": FS.Create,
			"replace": FS.Replace} {
			f, folder, moved := begin(t, make, replaced)
			if name == "replace" {
				if err := f.Commit(); !errors.Is(err, ErrMoved) {
					t.Errorf("commit: %v", err)
				}
			}
			if err := f.Remove(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if left, err := os.ReadDir(moved); err != nil || len(left) > 0 {
				t.Errorf("%s: left: %v (%v)", name, left, err)
			}
			if replaced {
				wantFile(t, filepath.Join(folder, "x"), "another's")
			}
		}
	}
}

// What has taken the name of a file is not removed in its place.
func TestRemoveLeavesOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	f, err := FS{}.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+"-moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("another's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(); err == nil {
		t.Error("no error")
	}
	wantFile(t, path, "another's")
}

// A path that names a folder makes no file in it.
func TestNameOfFolder(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir + "/", dir + "/.", dir + "/x/..", ""} {
		for _, make := range []func(FS, string) (*File, error){FS.Create, FS.Replace} {
			if _, err := make(FS{}, path); err == nil {
				t.Errorf("%q: no error", path)
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v (%v)", left, err)
	}
}
