//go:build lvm

package lvmtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// recipe runs one of docs/recipes as it stands.
func recipe(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := filepath.Abs("../../../docs/recipes/" + name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	runCommand(t, nil, cmd).want(t, 0, "")
}

// onThickAndThin makes an origin of each kind for a test.
func onThickAndThin(t *testing.T, vg string, test func(t *testing.T, origin string)) {
	const volume = 8*mib + 20*kib
	t.Run("thick", func(t *testing.T) {
		newVG(t, vg, 1)
		origin := plain(t, vg, "origin", volume)
		t.Setenv("SNAPSHOT_SIZE", "80%ORIGIN")
		test(t, origin)
	})
	t.Run("thin", func(t *testing.T) {
		newPool(t, vg, "64k", "200m")
		test(t, newThin(t, vg, "origin", volume))
	})
}

func TestRecipeBackup(t *testing.T) {
	onThickAndThin(t, "rbackup", func(t *testing.T, origin string) {
		folder := t.TempDir()
		var states []string
		for day := range uint64(4) {
			change(t, origin, day, 30, 0)
			recipe(t, "backup", "rbackup/origin", folder)
			states = append(states, sum(t, origin, 0))
			change(t, origin, 50+day, 10, 0) // in use
		}
		dest := plain(t, "rbackup", "dest", 8*mib+20*kib)
		for day, want := range states {
			recipe(t, "restore", folder, dest, fmt.Sprint(day))
			if sum(t, dest, 0) != want {
				t.Errorf("day %d is not what it was", day)
			}
		}
		if left := sh(t, "lvs", "--noheadings", "-o", "lv_name", "rbackup"); strings.Count(left, "origin-backup.") != 1 {
			t.Errorf("snapshots that are left: %s", left)
		}
	})
}

func TestRecipeMigrate(t *testing.T) {
	onThickAndThin(t, "rmigrate", func(t *testing.T, origin string) {
		change(t, origin, 1, 60, 0)
		dest := plain(t, "rmigrate", "dest", 8*mib+20*kib)
		fill(t, dest, 3)
		t.Setenv("ROUNDS", "2")
		recipe(t, "migrate", "rmigrate/origin", dest, "dd", "if=/dev/urandom", "of="+origin, "bs=4k", "count=9", "seek=77", "oflag=direct", "status=none")
		wantSame(t, origin, dest)
		if left := sh(t, "lvs", "--noheadings", "-o", "lv_name", "rmigrate"); strings.Contains(left, "migrate.") {
			t.Errorf("snapshots that are left: %s", left)
		}
	})
}

func TestRecipeRollback(t *testing.T) {
	onThickAndThin(t, "rback", func(t *testing.T, origin string) {
		change(t, origin, 1, 60, 0)
		before := sum(t, origin, 0)
		if strings.Contains(sh(t, "lvs", "--noheadings", "-o", "segtype", "rback/origin"), "thin") {
			thinSnapshot(t, "rback", "origin", "snap")
		} else {
			sh(t, "lvcreate", "-qq", "-y", "-s", "-l", "80%ORIGIN", "-n", "snap", "rback/origin")
		}
		change(t, origin, 2, 30, 0)
		after := sum(t, origin, 0)
		undo := filepath.Join(t.TempDir(), "undo")
		recipe(t, "rollback", "rback/snap", "rback/origin", undo)
		if sum(t, origin, 0) != before {
			t.Error("the volume was not taken back")
		}
		run(t, nil, "lvmsync-apply", undo, origin).want(t, 0, "")
		if sum(t, origin, 0) != after {
			t.Error("the rollback was not taken back")
		}
	})
}
