package full

import (
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"lvmsync/dump"
	"lvmsync/dump/internal/dmtest"
	"lvmsync/format/storage/kernel"
)

// snapshot shows a thick snapshot.
func snapshot(t *testing.T) (*dmtest.Machine, kernel.DevNum) {
	m := dmtest.New(t)
	num := m.Loop(image(t, mib))
	m.Device(num, "vg-s", "0 2048 snapshot 4095:1 4095:2 P 8")
	m.Status(num, 1, "0 2048 snapshot 16/128 16", "")
	m.LV("vg", "s", num,
		map[string]string{"lv_attr": "swi-a-s---", "origin": "o", "origin_uuid": "uuid-of-o"})
	return m, num
}

// A thick snapshot that has become invalid while it was read gives no patch.
func TestInvalidSnapshot(t *testing.T) {
	m, num := snapshot(t)
	src := open(t, num.Path()).Source()
	if err := src.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Status(num, 1, "0 2048 snapshot Invalid", "")
	if err := src.Check(t.Context()); !errors.Is(err, dump.ErrIncomplete) {
		t.Errorf("error %v", err)
	}
}

// A full patch of a thick snapshot leads to it by name, unless somebody may write to it: then it's
// about a volume.
func TestNamedState(t *testing.T) {
	_, num := snapshot(t)
	for _, inUse := range []bool{false, true} {
		t.Run(fmt.Sprint("in use: ", inUse), func(t *testing.T) {
			if inUse {
				hold(t, num.Path())
			}
			h := open(t, num.Path()).Source().Header
			if (h.State == nil) != inUse || !inUse && h.State.Snapshot != "uuid-of-s" {
				t.Errorf("state %+v", h.State)
			}
			want := "o"
			if inUse {
				want = "s"
			}
			if h.Source.LV != want {
				t.Errorf("the volume is %s, want %s", h.Source.LV, want)
			}
		})
	}
}

// hold has a process of its own open a file for writing until the test ends.
func hold(t *testing.T, path string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", `exec 3<>"$1"; echo open; read end`, "sh", path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = out.Read(make([]byte, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
}
