//go:build lvm

package lvmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recipe runs one of docs/recipes as it stands, which must succeed.
func recipe(t *testing.T, name string, args ...string) {
	t.Helper()
	runRecipe(t, name, args...).want(t, 0, "")
}

// runRecipe runs it with cron's PATH, and the programs.
func runRecipe(t *testing.T, name string, args ...string) result {
	t.Helper()
	path, err := filepath.Abs("../../../docs/recipes/" + name)
	if err != nil {
		t.Fatal(err)
	}
	programs, err := exec.LookPath("lvmsync-dump")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(programs)+":/usr/bin:/bin")
	return runCommand(t, nil, cmd)
}

// failedRecipe runs one that must fail, with a message.
func failedRecipe(t *testing.T, message, name string, args ...string) result {
	t.Helper()
	r := runRecipe(t, name, args...)
	if r.status == 0 || !strings.Contains(r.stderr, message) {
		t.Errorf("%s: status %d without %q", name, r.status, message)
	}
	return r
}

// wantVolumes compares the names of a group's volumes that have part in them.
func wantVolumes(t *testing.T, vg, part string, want ...string) {
	t.Helper()
	var got []string
	for _, name := range strings.Fields(sh(t, "lvs", "--noheadings", "-o", "lv_name", vg)) {
		if strings.Contains(name, part) {
			got = append(got, name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("snapshots: %q, want %q", got, want)
	}
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
			run(t, nil, "lvmsync-apply", "--verify", "--state", fmt.Sprintf("%04d.lvmpatch", day),
				folder, dest).want(t, 0, "")
			if sum(t, dest, 0) != want {
				t.Errorf("day %d is not what it was", day)
			}
		}
		wantVolumes(t, "rbackup", "backup.", "origin-backup.3")
	})
}

// A night that fails leaves the folder and the snapshot of the night before, so that the next one
// can go on.
func TestRecipeBackupFails(t *testing.T) {
	onThickAndThin(t, "rfails", func(t *testing.T, origin string) {
		folder := t.TempDir()
		sh(t, "mount", "-t", "tmpfs", "-o", "size=16k", "backup", folder)
		t.Cleanup(func() { sh(t, "umount", folder) })
		fill(t, origin, 1)
		failedRecipe(t, "no space left", "backup", "rfails/origin", folder)
		wantVolumes(t, "rfails", "backup.")

		sh(t, "mount", "-o", "remount,size=16m", folder)
		recipe(t, "backup", "rfails/origin", folder)
		change(t, origin, 2, 60, 0)
		filler := filepath.Join(folder, "filler")
		run(t, nil, "dd", "if=/dev/zero", "of="+filler, "bs=4k") // until the folder is full
		failedRecipe(t, "no space left", "backup", "rfails/origin", folder)
		wantVolumes(t, "rfails", "backup.", "origin-backup.0")

		failedRecipe(t, "is "+filepath.Dir(folder)+" mounted", "backup", "rfails/origin",
			filepath.Dir(folder))
		wantVolumes(t, "rfails", "backup.", "origin-backup.0")

		sh(t, "rm", filler)
		recipe(t, "backup", "rfails/origin", folder)
		wantVolumes(t, "rfails", "backup.", "origin-backup.1")
		dest := plain(t, "rfails", "dest", 8*mib+20*kib)
		run(t, nil, "lvmsync-apply", "--verify", folder, dest).want(t, 0, "")
		wantSame(t, origin, dest)
	})
}

// A snapshot that has lost its list, or is gone, doesn't end a chain: the volume is compared with
// the folder.
func TestRecipeBackupGoesOn(t *testing.T) {
	newVG(t, "rover", 1)
	origin := plain(t, "rover", "origin", 8*mib)
	dest := plain(t, "rover", "dest", 8*mib)
	folder := t.TempDir()
	t.Setenv("SNAPSHOT_SIZE", "10%ORIGIN")
	recipe(t, "backup", "rover/origin", folder)
	overflow(t, origin)
	t.Setenv("SNAPSHOT_SIZE", "110%ORIGIN")
	for i, before := range []func(){
		func() {},
		func() { change(t, origin, 1, 30, 0) },
		func() {
			change(t, origin, 2, 30, 0)
			sh(t, "lvremove", "-qq", "-y", "rover/origin-backup.2")
			change(t, origin, 3, 30, 0)
		},
	} {
		before()
		recipe(t, "backup", "rover/origin", folder)
		wantVolumes(t, "rover", "backup.", fmt.Sprint("origin-backup.", i+1))
		run(t, nil, "lvmsync-apply", "--verify", folder, dest).want(t, 0, "")
		wantSame(t, origin, dest)
	}
	run(t, nil, "lvmsync-patch", "prune", "--keep-last", "2", folder).want(t, 0, "")
	change(t, origin, 4, 30, 0)
	recipe(t, "backup", "rover/origin", folder)
	run(t, nil, "lvmsync-apply", "--verify", folder, dest).want(t, 0, "")
	wantSame(t, origin, dest)
}

func TestRecipeMigrate(t *testing.T) {
	onThickAndThin(t, "rmigrate", func(t *testing.T, origin string) {
		change(t, origin, 1, 60, 0)
		dest := plain(t, "rmigrate", "dest", 8*mib+20*kib)
		fill(t, dest, 3)
		t.Setenv("ROUNDS", "2")
		recipe(t, "migrate", "rmigrate/origin", dest, "dd", "if=/dev/urandom", "of="+origin,
			"bs=4k", "count=9", "seek=77", "oflag=direct", "status=none")
		wantSame(t, origin, dest)
		wantVolumes(t, "rmigrate", "migrate.")
	})
}

// A migration that fails while the volume is in use leaves nothing behind; one that fails
// afterwards says how to do the rest.
func TestRecipeMigrateFails(t *testing.T) {
	onThickAndThin(t, "rmfails", func(t *testing.T, origin string) {
		change(t, origin, 1, 60, 0)
		dest := plain(t, "rmfails", "dest", 8*mib+20*kib)
		t.Setenv("ROUNDS", "1")
		failedRecipe(t, "migrate VG/LV DESTINATION STOP...", "migrate", "rmfails/origin", dest)
		second := file(t, "second",
			[]byte(`[ ! -e "$0.once" ] || exit 1; touch "$0.once"; exec lvmsync-apply "$1"`))
		for _, apply := range []string{"false", "bash " + second} {
			t.Setenv("APPLY", apply)
			failedRecipe(t, "", "migrate", "rmfails/origin", dest, "true")
			wantVolumes(t, "rmfails", "migrate.")
		}
		t.Setenv("APPLY", "lvmsync-apply")
		r := failedRecipe(t, "the last step is missing", "migrate", "rmfails/origin", dest, "false")
		wantVolumes(t, "rmfails", "migrate.", "origin-migrate.1")
		change(t, origin, 2, 30, 0)
		_, commands, _ := strings.Cut(r.stderr, "used again:\n")
		runCommand(t, strings.NewReader("y\n"),
			exec.Command("bash", "-euo", "pipefail", "-c", commands)).want(t, 0, "")
		wantSame(t, origin, dest)
		wantVolumes(t, "rmfails", "migrate.")
	})
}

// What it says to do holds also if the last step failed half-way, and the volume has been used and
// holds again what the last step had replaced.
func TestRecipeMigrateUsedAgain(t *testing.T) {
	onThickAndThin(t, "ragain", func(t *testing.T, origin string) {
		change(t, origin, 1, 60, 0)
		dest := plain(t, "ragain", "dest", 8*mib+20*kib)
		t.Setenv("ROUNDS", "1")
		third := file(t, "third",
			[]byte(`lvmsync-apply "$1"; echo >>"$0.calls"; [ "$(wc -l <"$0.calls")" != 3 ]`))
		t.Setenv("APPLY", "bash "+third)
		before := file(t, "before", nil)
		sh(t, "dd", "if="+origin, "of="+before, "bs=4k", "count=9", "skip=77", "iflag=direct",
			"status=none")
		write := []string{"of=" + origin, "bs=4k", "count=9", "seek=77", "oflag=direct",
			"status=none"}
		stop := append([]string{"ragain/origin", dest, "dd", "if=/dev/urandom"}, write...)
		r := failedRecipe(t, "the last step is missing", "migrate", stop...)
		sh(t, "dd", append(write, "if="+before)...)
		_, commands, _ := strings.Cut(r.stderr, "used again:\n")
		runCommand(t, strings.NewReader("y\n"),
			exec.Command("bash", "-euo", "pipefail", "-c", commands)).want(t, 0, "")
		wantSame(t, origin, dest)
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
