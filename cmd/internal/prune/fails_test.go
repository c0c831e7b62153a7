package prune

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvmsync/apply"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/archive/retention"
)

// A merge that fails leaves the folder as it was, and nothing beside that.
func TestFails(t *testing.T) {
	noRoom, full := works(), works()
	noRoom.free = func(string) (int64, bool) { return 1, true }
	full.files.Write = func(*os.File, []byte) (int, error) { return 0, unix.ENOSPC }
	for name, tt := range map[string]struct {
		sys                  system
		damaged, interrupted bool
		want                 error
	}{
		"no room, told beforehand":  {noRoom, false, false, unix.ENOSPC},
		"no room when it's written": {full, false, false, unix.ENOSPC},
		"damaged":                   {works(), true, false, format.ErrCorrupt},
		"interrupted in its midst":  {works(), false, true, context.Canceled},
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

// Where there is no room to merge, what no kept state needs goes all the same.
func TestNoRoom(t *testing.T) {
	h := newNights(t, "0", "1 0", "2", "3 2", "4 3")
	sys := works()
	sys.free = func(string) (int64, bool) { return 1, true }
	a, plan := h.plan(t, retention.Policy{Last: 1})
	done, err := run(t.Context(), a, plan, options(), sys)
	if !errors.Is(err, unix.ENOSPC) || done.Removed != 2 || done.Merged != 0 {
		t.Errorf("%+v: %v", done, err)
	}
	if files := contents(t, h.dir); len(files) != 3 || files["2"] == "" || files["4"] == "" {
		t.Errorf("%d files are left", len(files))
	}
	sys.free = free
	a, plan = h.plan(t, retention.Policy{Last: 1})
	if done, err = run(t.Context(), a, plan, options(), sys); err != nil || done.Merged != 3 {
		t.Errorf("then: %+v: %v", done, err)
	}
}

// threeNights is a full patch and two deltas.
func threeNights(t *testing.T) *history { return newNights(t, "0", "1 0", "2 1") }

// newNights is a history of patches, each with its name, which is that of the state that it leads
// to as far as the first letter goes, and the state that it starts from unless it is full. Of one
// with a third word a block is lost.
func newNights(t *testing.T, patches ...string) *history {
	h := &history{dir: t.TempDir(), now: time.Date(2026, 1, 30, 0, 0, 0, 0, time.UTC)}
	nights := make(map[string]*night)
	of := func(name string) *night {
		name = name[:1]
		if nights[name] == nil {
			data := make([]byte, 2*block)
			data[0] = name[0]
			nights[name] = &night{snapshot: name, data: data, volume: "volume",
				written: map[int]bool{0: true},
				made:    time.Date(2026, 1, int(name[0]-'0')+1, 0, 0, 0, 0, time.UTC)}
			nights[name].dumped = nights[name].made.Add(time.Minute)
		}
		return nights[name]
	}
	for _, text := range patches {
		words := strings.Fields(text)
		var from *night
		lost := -1
		if len(words) > 1 {
			from = of(words[1])
			of(words[0]).before = from
		}
		if len(words) > 2 {
			lost = 0
		}
		writePatch(t, filepath.Join(h.dir, words[0]), from, of(words[0]), lost)
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
