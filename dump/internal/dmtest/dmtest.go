// Package dmtest shows tests devices of device-mapper on a machine that has none: loop devices of
// which dmsetup, lvs and sysfs tell what a test says.
package dmtest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/devtest"
	"lvmsync/format/storage/kernel"
)

// dmsetup answers from the files of the device that it is asked about. Of its status there are
// several, one a question.
const dmsetup = `#!/bin/sh
d=${0%/*}; dev=$(echo "$*" | sed -n 's/.* -j \([0-9]*\) -m \([0-9]*\)$/\1:\2/p')
case "$1 $dev" in
"table ") cat $d/dev/*/named ;;
"info ") cat $d/dev/*/info ;;
status*) d=$d/dev/$dev; echo >>$d/looks; n=$(wc -l <$d/looks)
  while [ ! -e $d/status.$n ]; do n=$((n-1)); done
  [ ! -e $d/do.$n ] || . $d/do.$n; cat $d/status.$n ;;
message*) d=$d/dev/$dev; . $d/$3 ;;
*) cat $d/dev/$dev/$1 ;;
esac
`

// lvs knows the volume that is named last, or none; of a volume group, all, and all that there are
// if nothing is named.
const lvs = `#!/bin/sh
for last; do :; done
case "$*" in *" -- "* | *" -S "*) ;;
*) cd "${0%/*}/lv" && cat */* | sed 's/^{"report":\[{"lv":\[//; s/\]}\]}$//' | paste -sd, |
  sed 's/.*/{"report":[{"lv":[&]}]}/'; exit ;; esac
[ ! -d "${0%/*}/lv/$last" ] || {
  cd "${0%/*}/lv/$last" && sed -s 's/^{"report":\[{"lv":\[//; s/\]}\]}$//' * | paste -sd, |
    sed 's/.*/{"report":[{"lv":[&]}]}/'; exit; }
cat ${0%/*}/lv/$last 2>/dev/null || {
  echo '{"report":[{"lv":[]}]}'; case "$*" in *" -S "*) ;; *) exit 5 ;; esac; }
`

// lvchange activates and deactivates a volume: its node is there, or put aside.
const lvchange = `#!/bin/sh
d=${0%/*}
for a; do
  case $a in -ay) from=aside to=nodes ;; -an) from=nodes to=aside ;; vg/*) lv=$a ;; esac
done
mv $d/$from/$lv $d/$to/$lv
`

// A Machine is one with such devices, until the test ends. It takes root.
type Machine struct {
	t   *testing.T
	dir string
}

// New makes a machine without devices.
func New(t *testing.T) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may make loop devices")
	}
	m := &Machine{t, t.TempDir()}
	m.write("dmsetup", dmsetup)
	m.write("lvs", lvs)
	m.write("lvchange", lvchange)
	t.Setenv("PATH", m.dir+":"+os.Getenv("PATH"))
	sys, dev := kernel.Sys, kernel.Dev
	t.Cleanup(func() { kernel.Sys, kernel.Dev = sys, dev })
	kernel.Sys, kernel.Dev = filepath.Join(m.dir, "sys"), filepath.Join(m.dir, "nodes")
	m.link("/sys/block", "sys/block")
	m.link("/sys/fs", "sys/fs")
	m.linkAll("/sys/dev/block", "sys/dev/block")
	return m
}

// link has the machine show something of this one.
func (m *Machine) link(path, name string) {
	m.t.Helper()
	link := filepath.Join(m.dir, name)
	err := os.MkdirAll(filepath.Dir(link), 0o700)
	if err == nil {
		err = os.Symlink(path, link)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// linkAll does so for all that is in a folder.
func (m *Machine) linkAll(dir, name string) {
	m.t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range entries {
		m.link(filepath.Join(dir, e.Name()), filepath.Join(name, e.Name()))
	}
}

// tell has sysfs say something else of a device than this machine's does.
func (m *Machine) tell(num kernel.DevNum, name, content string) {
	m.t.Helper()
	name = filepath.Join("sys/dev/block", num.String(), name)
	_ = os.Remove(filepath.Join(m.dir, name)) // it would be written to where it leads
	m.write(name, content+"\n")
}

func (m *Machine) write(name, content string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(content), 0o700)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// Loop puts a loop device in front of a file: one that device-mapper has nothing to do with.
func (m *Machine) Loop(file string) kernel.DevNum {
	m.t.Helper()
	path := devtest.Loop(m.t, file)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		m.t.Fatal(err)
	}
	num := kernel.Of(st.Rdev)
	_ = os.Remove(num.Dir())
	m.linkAll("/sys/dev/block/"+num.String(), "sys/dev/block/"+num.String())
	m.node(path, filepath.Base(path))
	return num
}

// node has a name lead to a loop device.
func (m *Machine) node(path, name string) {
	m.t.Helper()
	_ = os.Remove(filepath.Join(kernel.Dev, name))
	m.link(path, filepath.Join("nodes", name))
}

// Device makes of a loop device one of device-mapper. A name such as "vg-lv" is LVM's.
func (m *Machine) Device(num kernel.DevNum, name, table string) {
	m.t.Helper()
	vg, lv, _ := strings.Cut(name, "-")
	uuid := ""
	if lv != "" {
		uuid = "LVM-uuidof" + vg + "uuidof" + lv // as that of the volume, see LV
	}
	if lv != "" {
		m.node(num.Path(), vg+"/"+lv)
	}
	m.tell(num, "dm/uuid", uuid)
	m.tell(num, "ro", "0")
	dir := "dev/" + num.String()
	if lv == "" {
		vg = ""
	}
	m.write(dir+"/info",
		fmt.Sprintf("%d/%d/%s/%s//%s/%s\n", num.Major, num.Minor, vg, lv, name, uuid))
	m.write(dir+"/table", table+"\n")
	m.write(dir+"/named", name+": "+table+"\n")
}

// Before has a shell run something before each call of dmsetup, lvs or lvchange, which is the $n-th
// then, in the machine's own folder, $d. If it exits the program isn't run.
func (m *Machine) Before(program, do string) {
	m.t.Helper()
	path := filepath.Join(m.dir, program)
	if err := os.Rename(path, path+".real"); err != nil {
		m.t.Fatal(err)
	}
	m.write(program, `#!/bin/sh
d=${0%/*}; echo >>$0.calls; n=$(wc -l <$0.calls)
`+do+`
exec $0.real "$@"
`)
}

// Dir is the machine's own folder, $d of what a shell runs.
func (m *Machine) Dir() string { return m.dir }

// Inactive puts the node of the volume vg/lv aside until lvchange activates it.
func (m *Machine) Inactive(lv string) {
	m.t.Helper()
	aside := filepath.Join(m.dir, "aside", "vg", lv)
	err := os.MkdirAll(filepath.Dir(aside), 0o700)
	if err == nil {
		err = os.Rename(filepath.Join(kernel.Dev, "vg", lv), aside)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// IsActive tells whether the volume vg/lv has its node.
func (m *Machine) IsActive(lv string) bool {
	_, err := os.Lstat(filepath.Join(kernel.Dev, "vg", lv))
	return err == nil
}

// ReadOnly has the kernel say that a device can't be written to.
func (m *Machine) ReadOnly(num kernel.DevNum) {
	m.tell(num, "ro", "1")
}

// Status is what dmsetup says of a device's status when it is asked for the n-th time, from 1 on,
// until there is another. Before it does, a shell runs do.
func (m *Machine) Status(num kernel.DevNum, n int, status, do string) {
	m.write(fmt.Sprintf("dev/%s/status.%d", num, n), status+"\n")
	m.write(fmt.Sprintf("dev/%s/do.%d", num, n), do+"\n")
}

// Looks is how often dmsetup has been asked for the status of a device.
func (m *Machine) Looks(num kernel.DevNum) int {
	looks, err := os.ReadFile(filepath.Join(m.dir, "dev", num.String(), "looks"))
	if err != nil {
		return 0
	}
	return strings.Count(string(looks), "\n")
}

// Message is what a shell does when a device gets a message, in a folder of the device's own, $d.
func (m *Machine) Message(num kernel.DevNum, text, do string) {
	m.write("dev/"+num.String()+"/"+text, do+"\n")
}

// LV has lvs know a volume by the given fields; what is missing is as it is of a plain active
// volume.
func (m *Machine) LV(vg, lv string, num kernel.DevNum, fields map[string]string) {
	m.t.Helper()
	row := map[string]string{
		"vg_name": vg, "lv_name": lv, "vg_uuid": "uuid-of-" + vg, "lv_uuid": "uuid-of-" + lv,
		"lv_attr":    "-wi-a-----",
		"lv_merging": "0", "lv_snapshot_invalid": "-1", "lv_merge_failed": "-1",
		"segtype": "linear", "lv_time": "1795666007",
		"lv_kernel_major": fmt.Sprint(num.Major), "lv_kernel_minor": fmt.Sprint(num.Minor),
	}
	for name, value := range fields {
		row[name] = value
	}
	report := map[string]any{"report": []any{map[string]any{"lv": []any{row}}}}
	text, err := json.Marshal(report)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("lv/"+vg+"/"+lv, string(text)+"\n")
}
