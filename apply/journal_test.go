package apply

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvmsync/format/storage/devtest"

	"golang.org/x/sys/unix"
)

// An undo patch of nothing isn't kept: there is nothing to take back.
func TestEmptyUndo(t *testing.T) {
	vol := manySegments()
	patch, _ := vol.patch(t)
	for name, open := range map[string]func() io.Reader{
		"file": func() io.Reader { return bytes.NewReader(patch) },
		"pipe": func() io.Reader { return pipe(patch) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			now := vol.onto(garbage(mib), len(vol.segments))
			r := newRun(image(t, dir, now))
			r.Undo = filepath.Join(dir, "undo")
			if r.do(t.Context(), open()); r.err != nil || r.report.Undo {
				t.Errorf("%v, %+v", r.err, r.report)
			}
			if left := names(t, dir); len(left) != 1 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// A dry run refuses an undo patch that can't be made.
func TestDryRunOfUndo(t *testing.T) {
	patch, _ := manySegments().patch(t)
	dir := t.TempDir()
	readOnly := mount(t, "tmpfs", "none", "ro,size=1m")
	path := image(t, dir, garbage(mib))
	for undo, want := range map[string]error{
		filepath.Join(dir, "undo"):                   nil,
		filepath.Join(dir, "missing/undo"):           unix.ENOENT,
		filepath.Join(path, "undo"):                  unix.ENOTDIR,
		filepath.Join(readOnly, "undo"):              unix.EROFS,
		filepath.Join(dir, strings.Repeat("u", 256)): unix.ENAMETOOLONG,
		path: ErrUndoExists,
	} {
		for _, dry := range []bool{true, false} {
			r := newRun(path)
			r.Undo, r.DryRun = undo, dry
			if r.do(t.Context(), bytes.NewReader(patch)); !errors.Is(r.err, want) {
				t.Errorf("%s, dry run %t: %v, want %v", undo, dry, r.err, want)
			}
		}
	}
}

// An undo patch in memory is no way back after a power cut.
func TestUndoInMemory(t *testing.T) {
	vol := manySegments()
	patch, _ := vol.patch(t)
	tmpfs := mount(t, "tmpfs", "none", "size=16m")
	ramfs := mount(t, "ramfs", "none", "mode=755")
	disk := filepath.Join(tmpfs, "disk")
	if err := os.WriteFile(disk, make([]byte, 8*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	devtest.Run(t, "mkfs.ext4", "-q", disk)
	ext4 := mount(t, "ext4", devtest.Loop(t, disk), "rw")
	warnings := map[string]string{
		tmpfs: "is kept in memory (a tmpfs): after a power cut there is no way back",
		ramfs: "is kept in memory (a ramfs)",
		ext4:  "is kept in memory (a tmpfs)",
	}
	var st unix.Statfs_t
	if err := unix.Statfs(t.TempDir(), &st); err == nil && st.Type != unix.TMPFS_MAGIC {
		warnings[t.TempDir()] = ""
	}
	for dir, warning := range warnings {
		for _, dry := range []bool{true, false} {
			path := image(t, t.TempDir(), garbage(mib))
			r := newRun(path)
			r.Undo, r.DryRun = filepath.Join(dir, "undo"), dry
			if r.do(t.Context(), bytes.NewReader(patch)); r.err != nil {
				t.Fatal(r.err)
			}
			if len(r.warnings) > 1 || (warning == "") != (len(r.warnings) == 0) ||
				!strings.Contains(strings.Join(r.warnings, ""), warning) {
				t.Errorf("%s: warnings %q, want %q", dir, r.warnings, warning)
			}
		}
	}
}
