package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvmsync/format/storage/devtest"
	"lvmsync/format/storage/dmtable"
)

// dmDevice makes a device-mapper device from a table until the test ends, and gives its path and
// its name in sysfs.
func dmDevice(t *testing.T, name, table string) (path, label string) {
	t.Helper()
	path = devtest.DeviceMapper(t, name, table)
	id, err := Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, fmt.Sprintf("dm-%d (%s)", id.Minor, filepath.Base(path))
}

func TestDeviceMapperStack(t *testing.T) {
	disk := devtest.Hole(t, fsSize)
	dev := devtest.Loop(t, disk)
	low, lowLabel := dmDevice(t, "low", fmt.Sprintf("0 %d linear %s 0", fsSize>>9, dev))
	top, topLabel := dmDevice(t, "top", fmt.Sprintf("0 %d linear %s 0", fsSize>>9, low))
	mkfs(t, top)
	checkUsers(t, top)
	checkUsers(t, low, "in use by "+topLabel)
	dir := mount(t, top)
	devtest.Write(t, filepath.Join(dir, "file"), os.O_CREATE|os.O_WRONLY, marker())
	checkFlush(t, low, disk)

	mounted := "mounted on " + dir + " (ext4, rw)"
	checkUsers(t, top, mounted)
	checkUsers(t, dev, mounted+" through "+topLabel, "in use by "+topLabel, "in use by "+lowLabel)
	hold(t, "<>", low)
	checkUsers(t, dev, mounted+" through "+topLabel, "in use by "+topLabel, "in use by "+lowLabel,
		"open for writing by sh (pid N) through "+lowLabel)
}

// What cannot be written shows when it is flushed, and nowhere else.
func TestFlushReportsErrors(t *testing.T) {
	dev, _ := dmDevice(t, "broken", "0 2048 error")
	devtest.Write(t, dev, os.O_WRONLY, marker())
	err := open(t, dev).Flush()
	if want := "flush " + dev + ": fsync: input/output error"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// What a real table says of the parts of a disk.
func TestDeviceMapperParts(t *testing.T) {
	disk := devtest.Hole(t, 3*fsSize)
	dev := devtest.Loop(t, disk)
	sectors := fsSize >> 9
	one, _ := dmDevice(t, "one", fmt.Sprintf("0 %d linear %s 0", sectors, dev))
	two, _ := dmDevice(t, "two", fmt.Sprintf("0 %d linear %s %d", sectors, dev, sectors))
	across, label := dmDevice(t, "across",
		fmt.Sprintf("0 1024 zero\n1024 %d linear %s %d", sectors-1024, dev, sectors/2))
	checkBelow(t, across, identityOf(t, dev), identityOf(t, disk))
	mkfs(t, two)
	dir := mount(t, two)
	checkUsers(t, one)
	hold(t, "<>", across)
	checkUsers(t, one, "open for writing by sh (pid N) through "+label+", on the same storage")
	window := devtest.Loop(t, disk, "--offset", fmt.Sprint(2*fsSize-4096), "--sizelimit", "4096")
	checkUsers(t, window, "mounted on "+dir+" (ext4, rw) through "+
		labelOf(t, two)+", on the same storage",
		"on the same storage as loop device "+dev)

	lines := make([]string, 2000) // more than the kernel's answer has room for at first
	for i := range lines {
		lines[i] = fmt.Sprintf("%d 8 linear %s %d", i*8, dev, 2*sectors+i*8)
	}
	many, _ := dmDevice(t, "many", strings.Join(lines, "\n"))
	targets, err := dmtable.Read(identityOf(t, many).DevNum)
	if err != nil || len(targets) != len(lines) {
		t.Fatalf("table of %d lines, %v; want %d", len(targets), err, len(lines))
	}
	checkUsers(t, many)
	checkUsers(t, window, "mounted on "+dir+" (ext4, rw) through "+
		labelOf(t, two)+", on the same storage",
		"on the same storage as loop device "+dev)
}

func labelOf(t *testing.T, path string) string {
	t.Helper()
	id := identityOf(t, path)
	return layer{id: id, name: id.Name()}.label()
}
