package prune

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lvmsync/format/archive"
	"lvmsync/format/archive/retention"
	"lvmsync/format/durable"
)

func works() system { return system{durable.FS{}, os.Remove, (*os.File).Chown, free} }

// Before anything goes, what takes its place is read to its end.
func TestReadBefore(t *testing.T) {
	for name, tt := range map[string]struct {
		patches []string
		last    int
		damaged string
		want    string // the beginning of the error; empty: none
	}{
		"the next full patch": {[]string{"0", "1 0", "2", "3 2"}, 2, "2",
			"1 stays|0 stays, for the next full patch"},
		"a newer full patch": {[]string{"0", "1 0", "2", "3"}, 2, "3", ""},
		"a way to a state between": {[]string{"1 0", "1b 0", "2 1", "3 1"}, 2, "1",
			"1b stays, for what leads to the same state is not right"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newNights(t, tt.patches...)
			path := filepath.Join(h.dir, tt.damaged)
			flip(t, path)
			before := contents(t, h.dir)
			a, plan := h.plan(t, retention.Policy{Last: tt.last})
			done, err := Run(t.Context(), a, plan, options())
			if tt.want == "" {
				if err != nil || done.Removed == 0 {
					t.Fatalf("%v: %v", done, err)
				}
				return
			}
			if !slices.ContainsFunc(strings.Split(tt.want, "|"), func(want string) bool {
				return err != nil && strings.Contains(err.Error(), want)
			}) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if !maps.Equal(contents(t, h.dir), before) {
				t.Error("something was changed")
			}
		})
	}
}

// What would take a kept state away, or what a way has that is kept only in part, is not done,
// whatever the plan says.
func TestWrongPlan(t *testing.T) {
	for name, tt := range map[string]struct {
		patches        []string
		kept, removing string
	}{
		"itself":                             {[]string{"0", "1 0"}, "1", "1"},
		"the full patch":                     {[]string{"0", "1 0"}, "1", "0"},
		"what it starts from":                {[]string{"1 0", "2 1"}, "2", "1"},
		"what it may start from as it seems": {[]string{"0", "1 0", "2 1"}, "2", "1"},
		"what is whole":                      {[]string{"0", "1 0 lost", "1b 0"}, "1", "1b"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newNights(t, tt.patches...)
			before := contents(t, h.dir)
			a, plan := h.plan(t, retention.Policy{Last: 9})
			of := make(map[string]*archive.Patch)
			for _, c := range a.Volumes[0].Chains {
				for _, p := range c.Patches {
					of[filepath.Base(p.Path)] = p
				}
			}
			plan.Volumes[0].Kept = []retention.Kept{{Patch: of[tt.kept]}}
			plan.Volumes[0].Steps = []retention.Step{
				{Remove: []*archive.Patch{of[tt.removing]}}}
			if done, err := Run(t.Context(), a, plan, options()); err == nil || done != (Done{}) {
				t.Errorf("%v: %v", done, err)
			}
			if !maps.Equal(contents(t, h.dir), before) {
				t.Error("something was changed")
			}
		})
	}
}

// Once somebody touches what a kept state needs, nothing more goes.
func TestTouched(t *testing.T) {
	for name, touch := range map[string]func(path string) error{
		"removed":     os.Remove,
		"cut":         func(path string) error { return os.Truncate(path, 100) },
		"written to":  func(path string) error { return os.Chtimes(path, time.Time{}, time.Now()) },
		"put in anew": func(path string) error { return os.Rename(path+"b", path) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newNights(t, "0", "1 0", "2", "3 2")
			h.addCopy(t, filepath.Join(h.dir, "3"), "3b")
			removed, sys := 0, works()
			sys.remove = func(path string) error {
				removed++
				return errors.Join(os.Remove(path), touch(filepath.Join(h.dir, "3")))
			}
			a, plan := h.plan(t, retention.Policy{Last: 2})
			_, err := run(t.Context(), a, plan, options(), sys)
			if err == nil || removed != 1 {
				t.Errorf("%d removed: %v", removed, err)
			}
		})
	}
}

// What stays is durable, and its name, before the first file goes: others may have written it.
func TestFlushed(t *testing.T) {
	h := newNights(t, "0", "1 0", "2", "3 2", "4 3")
	synced, removed := make(map[string]bool), 0
	sys := works()
	sys.files.Sync = func(f *os.File) error {
		real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
		synced[real] = true
		return err
	}
	sys.remove = func(path string) error {
		removed++
		for _, name := range []string{"2", "3", "4", ""} {
			if path := filepath.Join(h.dir, name); !synced[path] {
				t.Errorf("%s is not durable", path)
			}
		}
		return os.Remove(path)
	}
	a, plan := h.plan(t, retention.Policy{Last: 3})
	if _, err := run(t.Context(), a, plan, options(), sys); err != nil || removed != 2 {
		t.Fatalf("%d removed: %v", removed, err)
	}
	removed = 0
	h = newNights(t, "0", "1 0", "2", "3 2", "4 3")
	sys.files.Sync = func(f *os.File) error { return os.ErrInvalid }
	a, plan = h.plan(t, retention.Policy{Last: 3})
	if _, err := run(t.Context(), a, plan, options(), sys); err == nil || removed > 0 {
		t.Errorf("%d removed: %v", removed, err)
	}
}
