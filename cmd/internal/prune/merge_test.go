package prune

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/apply"
	"lvmsync/format/archive/retention"
)

// A patch that others put in place of one that is merged, while it is, stays.
func TestChanged(t *testing.T) {
	for _, name := range []string{"0", "1", "2"} {
		t.Run(name, func(t *testing.T) {
			h, other := threeNights(t), newNights(t, "5")
			path := filepath.Join(h.dir, name)
			a, plan := h.plan(t, retention.Policy{Last: 1})
			o := options()
			var before map[string]string
			o.Progress = func(stage apply.Stage, _ int64) {
				if stage != apply.Merging || before != nil {
					return
				}
				if err := os.Rename(filepath.Join(other.dir, "5"), path); err != nil {
					t.Error(err)
				}
				before = contents(t, h.dir)
				maps.DeleteFunc(before, func(name, _ string) bool { return name[0] == '.' })
			}
			done, err := Run(t.Context(), a, plan, o)
			if !errors.Is(err, errChanged) || done != (Done{}) {
				t.Errorf("%v: %v", done, err)
			}
			if before == nil || !maps.Equal(contents(t, h.dir), before) {
				t.Error("something was changed")
			}
		})
	}
}

// A merged patch is for those who may read all that it is merged of.
func TestBeLike(t *testing.T) {
	type owner struct{ uid, gid int }
	for name, tt := range map[string]struct {
		modes  [3]fs.FileMode
		owners [3]owner
		fails  bool
		mode   fs.FileMode
		owner  owner
	}{
		"the same": {[3]fs.FileMode{0o640, 0o640, 0o640}, [3]owner{{7, 8}, {7, 8}, {7, 8}}, false,
			0o640, owner{7, 8}},
		"a mode that is less": {[3]fs.FileMode{0o600, 0o640, 0o644},
			[3]owner{{7, 8}, {7, 8}, {7, 8}}, false, 0o600, owner{7, 8}},
		"another user": {[3]fs.FileMode{0o640, 0o640, 0o640}, [3]owner{{7, 8}, {7, 8}, {9, 8}},
			false, 0o640, owner{-1, 8}},
		"another group": {[3]fs.FileMode{0o644, 0o644, 0o644}, [3]owner{{7, 8}, {7, 9}, {7, 8}},
			false, 0o604, owner{7, -1}},
		"not allowed": {[3]fs.FileMode{0o640, 0o640, 0o640}, [3]owner{{7, 8}, {7, 8}, {7, 8}},
			true, 0o600, owner{7, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			if os.Getuid() != 0 {
				t.Skip("needs root")
			}
			h := threeNights(t)
			for i, mode := range tt.modes {
				path := filepath.Join(h.dir, fmt.Sprint(i))
				if err := errors.Join(os.Chown(path, tt.owners[i].uid, tt.owners[i].gid),
					os.Chmod(path, mode)); err != nil {
					t.Fatal(err)
				}
			}
			sys, warned, o := works(), 0, options()
			var got owner
			sys.chown = func(f *os.File, uid, gid int) error {
				got = owner{uid, gid}
				if tt.fails {
					return unix.EPERM
				}
				return f.Chown(uid, gid)
			}
			o.Warn = func(string) { warned++ }
			a, plan := h.plan(t, retention.Policy{Last: 1})
			if _, err := run(t.Context(), a, plan, o, sys); err != nil {
				t.Fatal(err)
			}
			st, err := os.Stat(filepath.Join(h.dir, "2"))
			if err != nil || st.Mode() != tt.mode || got != tt.owner || warned > 0 != tt.fails {
				t.Errorf("%v, %v, %d warnings (%v)", st.Mode(), got, warned, err)
			}
		})
	}
}
