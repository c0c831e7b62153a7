//go:build lvm

package lvmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// newKinds makes a volume of each sort: thick with a snapshot, thin with one, which is inactive,
// and a plain one that is, too.
func newKinds(t *testing.T, vg string) {
	t.Helper()
	newPool(t, vg, "64k", "16m")
	thin := newThin(t, vg, "thin", 2*mib)
	change(t, thin, 1, 10, 0)
	thinSnapshot(t, vg, "thin", "thinsnap")
	change(t, thin, 2, 10, 0)
	thick := plain(t, vg, "thick", 2*mib)
	fill(t, thick, 3)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-L", "1m", "-n", "thicksnap", vg+"/thick")
	poke(t, thick, 4, 4096, 1*mib)
	plain(t, vg, "idle", 2*mib)
	sh(t, "lvchange", "-qq", "-an", vg+"/idle")
}

// env is a command with other variables than the test has: "NAME=value", or "NAME" for one that is
// not set.
func env(changes []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		kept := true
		for _, c := range changes {
			changed, _, _ := strings.Cut(c, "=")
			kept = kept && changed != name
		}
		if kept {
			cmd.Env = append(cmd.Env, e)
		}
	}
	for _, c := range changes {
		if strings.Contains(c, "=") {
			cmd.Env = append(cmd.Env, c)
		}
	}
	return cmd
}

// cron's PATH lacks the folders where dmsetup and lvs are: all is as it is with them.
func TestCronPath(t *testing.T) {
	newKinds(t, "cron")
	cron := []string{"PATH=/usr/bin:/bin", "HOME=/root", "TERM"}
	if _, err := os.Stat("/usr/bin/dmsetup"); err == nil {
		t.Fatal("dmsetup is on cron's PATH: nothing is tested")
	}
	dest := newThin(t, "cron", "dest", 2*mib)
	fill(t, dest, 9)
	for _, args := range [][]string{{"--full", "cron/thicksnap"}, {"cron/thicksnap"},
		{"--full", "cron/thinsnap"}, {"cron/thinsnap"}} {
		d := runCommand(t, nil, env(cron, "lvmsync-dump", args...))
		d.want(t, 0, "")
		if strings.Contains(d.stderr, "warning: the patch has no names") ||
			!strings.Contains(d.stdout, `"snapshot_uuid":`) {
			t.Errorf("%v: no names in the patch:\n%s", args, d.stderr)
		}
		runCommand(t, strings.NewReader(d.stdout), env(cron, "lvmsync-apply", dest)).want(t, 0, "")
		wantNothingHeld(t, "cron")
	}
	wantSame(t, "/dev/cron/thin", dest)
	used := func(lv string) (percent float64) {
		if _, err := fmt.Sscan(sh(t, "lvs", "--noheadings", "-o", "data_percent", lv),
			&percent); err != nil {
			t.Fatal(err)
		}
		return percent
	}
	if o, d := used("cron/thin"), used("cron/dest"); d > o {
		t.Errorf("the destination has %.1f%% mapped, the origin %.1f%%: apply has not seen that "+
			"it is thin", d, o)
	}
	if isActive(t, "cron/thinsnap") {
		t.Error("the snapshot was left active")
	}
}

// Where LVM can't be asked, a full patch says what it lacks.
func TestFullWithoutNames(t *testing.T) {
	newKinds(t, "names")
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "lvs"),
		[]byte("#!/bin/sh\necho '  no mood' >&2; exit 5\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := runCommand(t, nil, withPath(bin, "lvmsync-dump", "--full", "/dev/names/thicksnap"))
	d.want(t, 0, "warning: the patch has no names of the volume")
	d.want(t, 0, "no mood")
}

// hostileConf is what lvm.conf can do to what LVM prints.
var hostileConf = map[string]string{
	"report": `report { output_format="json" columns_as_rows=1 prefixes=1 headings=0 quoted=0
 aligned=0 buffered=0 separator="|" list_item_separator=";" compact_output=1
 compact_output_cols="origin,lv_merging" binary_values_as_numeric=0
 time_format="%Y" mark_hidden_devices=0 two_word_unknown_device=1 lvs_sort="lv_size"
 segs_sort="seg_start" lvs_cols="lv_size" }`,
	"log": `log { prefix="lvm: " command_names=1 verbose=3 silent=1 indent=0 report_command_log=1
 command_log_cols="log_seq_num" command_log_sort="log_type" command_log_selection="log_type=none"
 level=7 file="/tmp/lvm.log" activation=1 syslog=1 }`,
	"loud": `log { prefix="{\"report\":" verbose=3 silent=0
 command_names=0 report_command_log=0 }`,
	"global": `global { units="k" suffix=1
 si_unit_consistency=0 lvdisplay_shows_full_device_path=1 }`,
}

// Whatever lvm.conf and the environment say of reports, the same is found.
func TestHostileConfig(t *testing.T) {
	newKinds(t, "conf")
	good, err := os.ReadFile("/etc/lvm/lvm.conf")
	if err != nil {
		t.Fatal(err)
	}
	questions := [][]string{
		{"--dry-run", "conf/thicksnap"}, {"--dry-run", "conf/thinsnap"},
		{"--dry-run", "--full", "conf/thicksnap"},
		{"--dry-run", "conf/missing"}, {"--dry-run", "/dev/conf/missing"},
		{"--dry-run", "conf/idle"}, {"--dry-run", "conf/pool_tmeta"},
	}
	var want []result
	for _, q := range questions {
		want = append(want, run(t, nil, "lvmsync-dump", q...))
	}
	for i, message := range map[int]string{3: "no such logical volume, device or file: " +
		"conf/missing\n", 5: "lvchange -ay conf/idle",
		6: "conf/pool_tmeta is metadata of a pool"} {
		want[i].want(t, 1, message)
	}
	check := func(t *testing.T, changes ...string) {
		t.Helper()
		for i, q := range questions {
			if got := runCommand(t, nil, env(changes, "lvmsync-dump", q...)); got != want[i] {
				t.Errorf("%v: got %+v, want %+v", q, got, want[i])
			}
		}
		if isActive(t, "conf/thinsnap") {
			t.Error("the snapshot was left active")
		}
	}
	all := ""
	for name, conf := range hostileConf {
		all += conf + "\n"
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "lvm.conf"), append(good, conf...),
				0o600); err != nil {
				t.Fatal(err)
			}
			check(t, "LVM_SYSTEM_DIR="+dir)
		})
	}
	t.Run("all, and the environment", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "lvm.conf"), append(good, all...),
			0o600); err != nil {
			t.Fatal(err)
		}
		check(t, "LVM_SYSTEM_DIR="+dir, "LVM_OUT_FD=7", "LVM_ERR_FD=8", "LVM_REPORT_FD=9",
			"LVM_COMMAND_PROFILE=nosuch", "LVM_VG_NAME=other",
			"LVM_EXPECTED_EXIT_STATUS=7", "LVM_RUN_BY_DMEVENTD=1", "DM_DEV_DIR=/nowhere",
			"DM_DEFAULT_NAME_MANGLING_MODE=hex", "LC_ALL=de_DE.UTF-8")
	})
	t.Run("devices file", func(t *testing.T) {
		dir := t.TempDir()
		disk := disks(t, 1)[0]
		pvid := strings.ReplaceAll(strings.TrimSpace(sh(t, "pvs", "--noheadings", "-o", "pv_uuid",
			disk)), "-", "")
		devices := "VERSION=1.1.2\nIDTYPE=devname IDNAME=/dev/nosuch DEVNAME=/dev/nosuch PVID=" +
			strings.Repeat("q", 32) +
			"\nIDTYPE=devname IDNAME=" + disk + " DEVNAME=" + disk + " PVID=" + pvid + "\n"
		for name, text := range map[string]string{
			"lvm.conf": strings.Replace(string(good), "use_devicesfile = 0", "use_devicesfile = 1",
				1), "devices/system.devices": devices,
		} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		said := runCommand(t, nil, env([]string{"LVM_SYSTEM_DIR=" + dir}, "lvs", "conf/missing"))
		if !strings.Contains(said.stderr, "Devices file") {
			t.Fatalf("lvs says nothing of its devices file: nothing is tested:\n%s", said.stderr)
		}
		check(t, "LVM_SYSTEM_DIR="+dir)
	})
}

// Who isn't root is told so.
func TestNotRoot(t *testing.T) {
	newKinds(t, "noroot")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"noroot/thicksnap"}, {"noroot/thinsnap"}, {"/dev/noroot/thin"},
		{"--full", "noroot/thinsnap"},
		{"--full", "noroot/thicksnap"}, {"--to", "noroot/thinsnap", "noroot/thin"},
		{"noroot/missing"}, {"--cow", "/dev/mapper/noroot-thicksnap-cow", "noroot/thick"}} {
		cmd := exec.Command(exe, args...)
		cmd.Args[0] = "lvmsync-dump"
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534,
			Gid: 65534}}
		r := runCommand(t, nil, cmd)
		r.want(t, 1, "\nlvmsync-dump: hint: run as root\n")
		if strings.Contains(r.stderr, "control: open failed") {
			t.Errorf("dmsetup's own words:\n%s", r.stderr)
		}
	}
}
