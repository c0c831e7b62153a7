package prune

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvmsync/apply"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/archive/retention"
	"lvmsync/format/durable"
)

// A merge that fails leaves the folder as it was, and nothing beside that.
func TestFails(t *testing.T) {
	works := system{durable.FS{}, os.Remove, free}
	noRoom, full := works, works
	noRoom.free = func(string) (int64, bool) { return 1, true }
	full.files.Write = func(*os.File, []byte) (int, error) { return 0, unix.ENOSPC }
	for name, tt := range map[string]struct {
		sys                  system
		damaged, interrupted bool
		want                 error
	}{
		"no room, told beforehand":  {noRoom, false, false, unix.ENOSPC},
		"no room when it's written": {full, false, false, unix.ENOSPC},
		"damaged":                   {works, true, false, format.ErrCorrupt},
		"interrupted in its midst":  {works, false, true, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			h := threeNights(t)
			if tt.damaged {
				flip(t, filepath.Join(h.dir, "1"))
			}
			before := contents(t, h.dir)
			a, err := archive.Read(t.Context(), h.dir)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := options()
			if tt.interrupted {
				o.Progress = func(apply.Stage, int64) { cancel() }
			}
			plan := retention.New(a, retention.Options{
				Policy: retention.Policy{Last: 1}, Now: h.now})
			done, err := run(ctx, a, plan, o, tt.sys)
			if !errors.Is(err, tt.want) || done != (Done{}) {
				t.Errorf("%v: %v", done, err)
			}
			after := contents(t, h.dir)
			if len(after) != len(before) {
				t.Errorf("%d files, of %d", len(after), len(before))
			}
			for name, b := range before {
				if after[name] != b {
					t.Errorf("%s was changed", name)
				}
			}
		})
	}
}

// threeNights is a full patch and two deltas.
func threeNights(t *testing.T) *history {
	h := &history{dir: t.TempDir(), now: time.Date(2026, 1, 9, 0, 0, 0, 0, time.UTC)}
	var last *night
	for i, name := range []string{"0", "1", "2"} {
		data := make([]byte, 2*block)
		data[0] = byte(i)
		n := &night{name, time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC), data}
		writePatch(t, filepath.Join(h.dir, name), last, n)
		last = n
	}
	return h
}

// flip changes a bit of a patch where its segments are.
func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		b, readErr := os.ReadFile(filepath.Join(dir, e.Name()))
		err = errors.Join(err, readErr)
		all[e.Name()] = string(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}
