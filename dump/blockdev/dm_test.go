package blockdev

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// dmDevice makes a device-mapper device from a table until the test ends, and gives its path.
func dmDevice(t *testing.T, name, table string) string {
	t.Helper()
	needRoot(t)
	if devices, err := os.ReadFile("/proc/devices"); err != nil ||
		!strings.Contains(string(devices), "device-mapper") {
		t.Skip("this kernel has no device-mapper: make lvm runs it in the guest")
	}
	name = fmt.Sprintf("test-%s-%d", name, os.Getpid())
	run(t, "dmsetup", "create", name, "--table", table)
	t.Cleanup(func() { run(t, "dmsetup", "remove", "--retry", name) })
	run(t, "dmsetup", "mknodes", name) // there may be no udev
	return "/dev/mapper/" + name
}

func TestReadAtReportsErrors(t *testing.T) {
	dev := losetup(t, imageOf(t, noise(1, 1<<20)))
	half := dmDevice(t, "half", "0 1024 linear "+dev+" 0\n1024 1024 error")
	f := open(t, half)
	for _, p := range [][]byte{AlignedBuffer(1 << 20), AlignedBuffer(1<<20 + 1)[1:]} {
		n, err := f.ReadAt(p, 0)
		if err == nil || n > 512<<10 ||
			!strings.HasPrefix(err.Error(), fmt.Sprintf("read %s at byte %d: ", half, n)) ||
			!strings.HasSuffix(err.Error(), "input/output error") {
			t.Errorf("ReadAt = %d, %v; want an error that names the device and byte %d", n, err, n)
		}
	}
	if n, err := f.ReadAt(make([]byte, 1000), 1000); n != 1000 || err != nil {
		t.Errorf("ReadAt before the bad half = %d, %v", n, err)
	}
}
