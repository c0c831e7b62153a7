//go:build lvm

package lvmtest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// A mapped is a device-mapper device of a test's own.
type mapped struct{ name string }

// newMapped makes one with a table, a line for each target.
func newMapped(t *testing.T, name string, table ...string) mapped {
	t.Helper()
	m := mapped{name}
	m.table(t, "create", table)
	sh(t, "dmsetup", "mknodes", name)
	t.Cleanup(func() { m.remove(t) })
	return m
}

func (m mapped) path() string { return "/dev/mapper/" + m.name }

func (m mapped) table(t *testing.T, command string, table []string) {
	t.Helper()
	lines := strings.Join(table, "\n")
	if run(t, strings.NewReader(lines), "dmsetup", command, m.name).status != 0 {
		t.Fatalf("dmsetup %s %s:\n%s", command, m.name, lines)
	}
}

// reload gives it another table, under a mounted file system, too.
func (m mapped) reload(t *testing.T, table ...string) {
	t.Helper()
	m.table(t, "reload", table)
	sh(t, "dmsetup", "resume", "--nolockfs", "--noflush", m.name)
}

// remove removes it, unless that was done.
func (m mapped) remove(t *testing.T) {
	t.Helper()
	if perform(t, exec.Command("dmsetup", "info", m.name)) == nil {
		sh(t, "dmsetup", "remove", "--retry", m.name)
	}
}

// linear is a target of size bytes, from the byte at of the new device on, that is a part of
// another device.
func linear(at, size int64, dev string, from int64) string {
	return fmt.Sprintf("%d %d linear %s %d", at/512, size/512, dev, from/512)
}

// loop makes a loop device with options until the test ends, or until somebody detaches it.
func loop(t *testing.T, file string, options ...string) string {
	t.Helper()
	dev := strings.TrimSpace(sh(t, "losetup", append(options, "--find", "--show", file)...))
	t.Cleanup(func() { perform(t, exec.Command("losetup", "--detach", dev)) })
	return dev
}

// partition makes a partition of a disk, in sectors.
func partition(t *testing.T, disk string, start, size int64) string {
	t.Helper()
	sh(t, "addpart", disk, "1", fmt.Sprint(start), fmt.Sprint(size))
	t.Cleanup(func() { sh(t, "delpart", disk, "1") })
	return disk + "p1"
}
