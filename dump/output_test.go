package dump

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// output writes text to an Output at path and commits it.
func output(t *testing.T, path, text string) error {
	t.Helper()
	o, err := CreateOutput("patch", path)
	if err != nil {
		return err
	}
	if _, err := o.Write([]byte(text)); err != nil {
		return errors.Join(err, o.Cleanup())
	}
	return o.Commit()
}

// tree lists the names below a folder, with a file's content or a link's end.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	names := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if d.Type()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(path)
			names[name] = "-> " + to
			return err
		}
		text, err := os.ReadFile(path)
		names[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func checkTree(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// Each name leads to the file that is replaced; everything else stays.
func TestOutputName(t *testing.T) {
	tests := map[string]struct {
		links map[string]string // name: end
		name  string            // relative to the folder, which is the working directory
		file  string            // what is written
	}{
		"new":                {nil, "new", "new"},
		"new in a folder":    {nil, "sub/new", "sub/new"},
		"old":                {nil, "old", "old"},
		"link to a file":     {map[string]string{"link": "sub/old"}, "link", "sub/old"},
		"link in a folder":   {map[string]string{"sub/link": "../old"}, "sub/link", "old"},
		"link to a link":     {map[string]string{"a": "sub/b", "sub/b": "../old"}, "a", "old"},
		"dangling link":      {map[string]string{"link": "sub/new"}, "link", "sub/new"},
		"link to a folder":   {map[string]string{"link": "sub"}, "link/new", "sub/new"},
		"above a link's end": {map[string]string{"link": "sub/deep"}, "link/../new", "sub/new"},
		"link above one's end": {map[string]string{"link": "sub/deep", "a": "link/../old"}, "a",
			"sub/old"},
		"dots and slashes":       {nil, ".//sub/../new", "new"},
		"a name with a line end": {nil, "a\nb", "a\nb"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.MkdirAll("sub/deep", 0o700); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"old": "old", "sub/old": "sub/old"}
			for name := range want {
				writeFile(t, name, name)
			}
			for link, end := range test.links {
				if err := os.Symlink(end, link); err != nil {
					t.Fatal(err)
				}
				want[link] = "-> " + end
			}
			if err := output(t, test.name, "patch"); err != nil {
				t.Fatal(err)
			}
			want[test.file] = "patch"
			checkTree(t, ".", want)
		})
	}
}

// What is there stays as it is until the new file is whole.
func TestOutputKeepsOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	writeFile(t, path, "old")
	o, err := CreateOutput("patch", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	names := tree(t, dir)
	if len(names) != 2 || names["x"] != "old" {
		t.Errorf("before Commit there is %q", names)
	}
	if err := o.Cleanup(); err != nil {
		t.Error(err)
	}
	checkTree(t, dir, map[string]string{"x": "old"})
	if err := output(t, path, "new"); err != nil {
		t.Error(err)
	}
	checkTree(t, dir, map[string]string{"x": "new"})
}

func TestOutputPermissions(t *testing.T) {
	for old, want := range map[fs.FileMode]fs.FileMode{0: 0o600, 0o640: 0o640,
		0o666: 0o666, 0o400: 0o400} {
		path := filepath.Join(t.TempDir(), "x")
		if old != 0 {
			writeFile(t, path, "old")
			if err := os.Chmod(path, old); err != nil {
				t.Fatal(err)
			}
		}
		if err := output(t, path, "new"); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode() != want {
			t.Errorf("a file of mode %v became one of %v, %v; want %v", old, st.Mode(), err, want)
		}
	}
}

func TestOutputErrors(t *testing.T) {
	long := strings.Repeat("x", 300)
	tests := map[string]struct {
		arrange func(t *testing.T)
		name    string
		is      error
		text    string
	}{
		"folder":           {nil, "sub", nil, "create the patch file sub: it is a folder"},
		"folder with dash": {nil, "sub/", nil, "create the patch file sub/: it is a folder"},
		"this folder":      {nil, ".", nil, "create the patch file .: it is a folder"},
		"above":            {nil, "..", nil, "create the patch file ..: it is a folder"},
		"device": {mkdevice, "device", nil,
			"create the patch file device: it is a device, pipe or socket, not a file"},
		"pipe": {mkfifo, "pipe", nil,
			"create the patch file pipe: it is a device, pipe or socket, not a file"},
		"link to a folder": {symlink("sub", "link"), "link", nil,
			"create the patch file link: it is a folder"},
		"link to a device": {linkToDevice, "link", nil,
			"create the patch file link: it is a device, pipe or socket, not a file"},
		"link to itself": {symlink("link", "link"), "link", unix.ELOOP,
			"create the patch file link: too many levels of symbolic links"},
		"link to nowhere": {symlink("none/x", "link"), "link", fs.ErrNotExist,
			"create the patch file link: no such file or directory"},
		"missing folder": {nil, "none/x", fs.ErrNotExist,
			"create the patch file none/x: no such file or directory"},
		"new folder": {nil, "none/", fs.ErrNotExist,
			"create the patch file none/: no such file or directory"},
		"file as a folder": {nil, "file/x", unix.ENOTDIR,
			"create the patch file file/x: not a directory"},
		"file, slash": {nil, "file/", nil, "create the patch file file/: not a directory"},
		"too long": {nil, long, unix.ENAMETOOLONG,
			"create the patch file " + long + ": file name too long"},
		"nothing": {nil, "", nil, "create the patch file : it is a folder"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			writeFile(t, "file", "old")
			if err := os.Mkdir("sub", 0o700); err != nil {
				t.Fatal(err)
			}
			if test.arrange != nil {
				test.arrange(t)
			}
			before, _ := os.ReadDir(".")
			err := output(t, test.name, "patch")
			if err == nil || err.Error() != test.text ||
				test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("got error\n%v, want\n%s", err, test.text)
			}
			after, _ := os.ReadDir(".")
			if len(before) != len(after) || content(t, "file") != "old" {
				t.Errorf("left %v of %v", after, before)
			}
		})
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// needRoot skips what only root may do.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may make device nodes and mount file systems")
	}
}

// mkdevice makes a device of the test's own: code that is broken may replace it.
func mkdevice(t *testing.T) {
	t.Helper()
	needRoot(t)
	if err := unix.Mknod("device", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatalf("make a device node: %v", err)
	}
}

func linkToDevice(t *testing.T) {
	t.Helper()
	mkdevice(t)
	symlink("device", "link")(t)
}

func mkfifo(t *testing.T) {
	if err := syscall.Mkfifo("pipe", 0o600); err != nil {
		t.Fatal(err)
	}
}

func symlink(end, name string) func(*testing.T) {
	return func(t *testing.T) {
		if err := os.Symlink(end, name); err != nil {
			t.Fatal(err)
		}
	}
}

// Something else has taken the name by the time of Commit.
func TestCommitFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	o, err := CreateOutput("patch", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit(); err == nil ||
		!strings.HasPrefix(err.Error(), "finish the patch file "+path+": ") {
		t.Errorf("got %v", err)
	}
	checkTree(t, dir, map[string]string{})
}
