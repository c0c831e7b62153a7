package thin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"testing"

	"lvmsync/format"
)

// inactive shows the snapshot s as thin snapshots mostly are.
func inactive(t *testing.T) *shown {
	s := show(t)
	s.inactivate()
	return s
}

func (s *shown) inactivate() {
	s.t.Helper()
	fields := map[string]string{"lv_attr": "Vwi---tz-k", "lv_kernel_major": "-1",
		"lv_kernel_minor": "-1"}
	maps.Copy(fields, ofOrigin)
	s.tell("s", volumeSize, "", fields)
	s.Inactive("s")
}

// locks are the notes that are left of volumes.
func (s *shown) locks() int {
	entries, err := os.ReadDir(lockDir)
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.Name() != "LVM-uuidofvguuidofpool.lock" { // the pool's, which stays
			n++
		}
	}
	return n
}

// A snapshot that isn't active is, until the source is closed, and then leaves nothing behind. What
// nobody could write to meanwhile is a state with a name.
func TestInactiveSnapshot(t *testing.T) {
	s := inactive(t)
	for name, tt := range map[string]struct {
		open  func(context.Context, string) (*Changes, error)
		state string
	}{
		"forth": {Open, ""}, "reverse": {OpenReverse, "uuid-of-s"}, "full": {OpenFull, "uuid-of-s"},
		"to": {func(ctx context.Context, name string) (*Changes, error) {
			return OpenTo(ctx, "vg/o", name)
		}, "uuid-of-s"},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := tt.open(t.Context(), "vg/s")
			if err != nil {
				t.Fatal(err)
			}
			state := format.State{}
			if h := src.Source().Header; h.State != nil {
				state = *h.State
			}
			if state.Snapshot != tt.state || !s.IsActive("s") {
				t.Errorf("it leads to %q, want %q; active: %v",
					state.Snapshot, tt.state, s.IsActive("s"))
			}
			if err := src.Source().Close(); err != nil {
				t.Error(err)
			}
			if s.IsActive("s") || s.locks() != 0 {
				t.Errorf("active: %v, %d notes", s.IsActive("s"), s.locks())
			}
		})
	}
}

// Where it can't be read after all, it is deactivated again.
func TestInactiveRefused(t *testing.T) {
	s := inactive(t)
	s.Device(s.nums["o"], "vg-o", fmt.Sprintf("0 %d thin 4095:9 1", volumeSize/512))
	if src, err := Open(t.Context(), "vg/s"); err == nil {
		src.Close()
		t.Error("no error")
	}
	if s.IsActive("s") || s.locks() != 0 {
		t.Errorf("active: %v, %d notes", s.IsActive("s"), s.locks())
	}
}

// A run that reads what another one has activated takes care of that, too: the other one may be
// killed.
func TestInactiveTwice(t *testing.T) {
	for _, killed := range []bool{false, true} {
		s := inactive(t)
		var runs [2]*volume
		for i := range runs {
			v, err := openVolume(t.Context(), "vg/s")
			if err != nil {
				t.Fatal(err)
			}
			runs[i] = v
		}
		if runs[1].deactivate == nil {
			t.Error("the second run doesn't know that it may be the last")
		}
		end := runs[0].close
		if killed {
			end = func() error { return errors.Join(runs[0].file.Close(), runs[0].use.f.Close()) }
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if !s.IsActive("s") {
			t.Error("it was deactivated though the second run still reads it")
		}
		if err := runs[1].close(); err != nil {
			t.Fatal(err)
		}
		if s.IsActive("s") || s.locks() != 0 {
			t.Errorf("active: %v, %d notes", s.IsActive("s"), s.locks())
		}
	}
}
