package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// failing is an FS in which the n-th call of one kind fails, and all others work.
func failing(t *testing.T, kind string, n int) (fs FS, calls *int) {
	t.Helper()
	calls = new(int)
	fails := func(k string) bool {
		if k == kind {
			*calls++
		}
		return k == kind && *calls == n
	}
	return FS{
		Write: func(f *os.File, b []byte) (int, error) {
			if fails("write") {
				n, _ := f.Write(b[:len(b)/2])
				return n, unix.ENOSPC
			}
			return f.Write(b)
		},
		Sync: func(f *os.File) error {
			kind := "sync"
			if st, err := f.Stat(); err != nil || st.IsDir() {
				kind = "folder"
			}
			if fails(kind) {
				return unix.EIO
			}
			return f.Sync()
		},
		Rename: func(from, to string) error {
			if fails("rename") {
				return unix.ENOSPC
			}
			return os.Rename(from, to)
		},
	}, calls
}

// inTwo writes a file in two parts, each of which is made durable, and then its end.
func inTwo(f *File) error {
	for _, part := range []string{"first ", "second "} {
		if _, err := f.Write([]byte(part)); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if _, err := f.Write([]byte("end")); err != nil {
		return err
	}
	return f.Commit()
}

// What has failed once has failed for good: nothing is written any more, it gets neither
// an end nor a name, and is cut to what was durable before.
func TestFailsOnceAndForAll(t *testing.T) {
	const all = "first second end"
	for _, test := range []struct {
		kind string
		n    int
		left string // of a file that is cut
		done bool   // a file that replaces another has done so
	}{
		{"nothing", 1, all, true},
		{"write", 1, "", false},
		{"write", 2, "first ", false},
		{"write", 3, "first second ", false},
		{"sync", 1, "", false},
		{"sync", 2, "first ", false},
		{"sync", 3, "first second ", false},
		{"folder", 1, "", true}, // of a new name: before anything relies on the file
		{"rename", 1, all, false},
	} {
		t.Run(test.kind, func(t *testing.T) {
			dir := t.TempDir()
			path, other := filepath.Join(dir, "new"), filepath.Join(dir, "other")
			if err := os.WriteFile(other, []byte("old"), 0o640); err != nil {
				t.Fatal(err)
			}
			for goal, make := range map[string]func(FS) (*File, error){
				path:  func(fs FS) (*File, error) { return fs.Create(path) },
				other: func(fs FS) (*File, error) { return fs.Replace(other) },
				"":    func(fs FS) (*File, error) { return fs.Temp(dir) },
			} {
				fs, calls := failing(t, test.kind, test.n)
				f, err := make(fs)
				if err != nil {
					t.Fatal(err)
				}
				first := inTwo(f)
				if (first != nil) != (*calls >= test.n) {
					t.Fatalf("%q: %v after %d calls", goal, first, *calls)
				}
				if first != nil {
					wantStuck(t, f, first, calls)
				}
				switch goal {
				case path:
					if err := f.Cut(); err != nil {
						t.Error(err)
					}
					want := test.left
					if first == nil {
						want = all
					}
					wantFile(t, path, want)
				case other:
					if err := f.Remove(); err != nil {
						t.Error(err)
					}
					if want := "old"; !test.done {
						wantFile(t, other, want)
					} else {
						wantFile(t, other, all)
					}
				}
			}
			if names, _ := os.ReadDir(dir); len(names) != 2 {
				t.Errorf("left: %v", names)
			}
		})
	}
}

// wantStuck wants nothing but the first error, and no call to the kernel.
func wantStuck(t *testing.T, f *File, first error, calls *int) {
	t.Helper()
	before := *calls
	_, writeErr := f.Write([]byte("more"))
	for _, err := range []error{writeErr, f.Sync(), f.Commit(), f.Err()} {
		if err != first {
			t.Errorf("%v, then %v", first, err)
		}
	}
	if *calls != before {
		t.Errorf("%d calls after the failure", *calls-before)
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s: %q (%v), want %q", path, got, err, want)
	}
}

// What can't even be cut says so, and is closed.
func TestCutFails(t *testing.T) {
	fs, _ := failing(t, "sync", 2)
	f, err := fs.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := inTwo(f); !errors.Is(err, unix.EIO) {
		t.Fatalf("error %v", err)
	}
	f.fs.Sync = func(*os.File) error { return unix.EROFS }
	if err := f.Cut(); err != unix.EROFS {
		t.Errorf("error %v", err)
	}
	if err := f.Cut(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// A failure of a Write at the same time leaves nothing that a Sync vouches for.
func TestWriteFailsDuringSync(t *testing.T) {
	fs := FS{Write: func(*os.File, []byte) (int, error) { return 0, unix.ENOSPC }}
	var f *File
	fs.Sync = func(s *os.File) error {
		if _, err := f.Write([]byte("x")); err != unix.ENOSPC {
			t.Errorf("write: %v", err)
		}
		return s.Sync()
	}
	f, err := fs.Temp(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != unix.ENOSPC || f.durable != 0 {
		t.Errorf("%v, %d bytes are durable", err, f.durable)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
}

func TestCreateRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	var fs FS
	if _, err := fs.Create(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("error %v", err)
	}
	for _, make := range []func(string) (*File, error){fs.Create, fs.Replace, fs.Temp} {
		if _, err := make(path + "/x"); err != unix.ENOTDIR {
			t.Errorf("error %v", err)
		}
	}
	wantFile(t, path, "old")
}

// What is written while the file is being made durable is not known to be so.
func TestWriteDuringSync(t *testing.T) {
	var file *File
	fs := FS{Sync: func(f *os.File) error {
		err := f.Sync()
		if f == file.File() && file.durable == 0 {
			if _, err := file.Write([]byte("later")); err != nil {
				t.Error(err)
			}
		}
		return err
	}}
	file, err := fs.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil || file.durable != int64(len("before")) {
		t.Errorf("%d bytes are durable, want %d (%v)", file.durable, len("before"), err)
	}
	if err := file.Cut(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file.File().Name()); err != nil || string(got) != "before" {
		t.Errorf("%q is left (%v)", got, err)
	}
}

// What is made durable, and in which order: the content before it has its name, and the
// name at last.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	for want, make := range map[string]func(FS) (*File, error){
		"write file folder write file": func(fs FS) (*File,
			error) {
			return fs.Create(filepath.Join(dir, "new"))
		},
		"write file write file rename folder": func(fs FS) (*File,
			error) {
			return fs.Replace(filepath.Join(dir, "other"))
		},
		"write file write file": func(fs FS) (*File, error) { return fs.Temp(dir) },
	} {
		var did []string
		f, err := make(FS{
			Write: func(f *os.File, b []byte) (int,
				error) {
				did = append(did, "write")
				return f.Write(b)
			},
			Sync: func(f *os.File) error {
				what := "file"
				if st, err := f.Stat(); err != nil || st.IsDir() {
					what = "folder"
				}
				did = append(did, what)
				return f.Sync()
			},
			Rename: func(from,
				to string) error {
				did = append(did, "rename")
				return os.Rename(from, to)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write([]byte("first"))
		err = errors.Join(err, f.Sync())
		_, writeErr := f.Write([]byte("end"))
		if err := errors.Join(err, writeErr, f.Commit()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(did, " "); got != want {
			t.Errorf("did %s, want %s", got, want)
		}
	}
}
