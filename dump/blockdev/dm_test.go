package blockdev

import (
	"fmt"
	"strings"
	"testing"

	"lvmsync/format/storage/devtest"
)

func TestReadAtReportsErrors(t *testing.T) {
	dev := devtest.Loop(t, devtest.Image(t, devtest.Noise(1, 1<<20)))
	half := devtest.DeviceMapper(t, "half", "0 1024 linear "+dev+" 0\n1024 1024 error")
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
