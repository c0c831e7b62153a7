package thick

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lvmsync/dump/internal/dmtest"
	"lvmsync/format/storage/kernel"
)

// A shown is a machine with snapshots of one origin: captured stores, of which dmsetup and lvs say
// what a kernel would.
type shown struct {
	*dmtest.Machine
	t      *testing.T
	origin kernel.DevNum
	real   string // the device with the origin's data, which isn't read
	paths  map[string]string
	nums   map[string]kernel.DevNum
	stores map[string]kernel.DevNum
	cows   map[string]string // the files behind the stores
	// snapshots has the files behind the snapshots.
	snapshots map[string]string
}

// show begins with the origin only.
func show(t *testing.T, origin string) *shown {
	m := dmtest.New(t)
	s := &shown{Machine: m, t: t, real: "4095:1", paths: map[string]string{},
		nums: map[string]kernel.DevNum{}, stores: map[string]kernel.DevNum{},
		cows: map[string]string{}, snapshots: map[string]string{}}
	s.origin = m.Loop(origin)
	m.Device(s.origin, "vg-o", "0 8200 snapshot-origin "+s.real)
	return s
}

// add adds a snapshot of so many bytes. Its status is what the kernel said of the store.
func (s *shown) add(name string, size int64, snapshot, cow string, chunk int64,
	status string) kernel.DevNum {
	s.t.Helper()
	num, store := s.Loop(snapshot), s.Loop(cow)
	s.Device(num, "vg-"+name,
		fmt.Sprintf("0 %d snapshot %s %s P %d", size/512, s.real, store, chunk/512))
	s.Status(num, 1, fmt.Sprintf("0 %d snapshot %s", size/512, status), "")
	s.LV("vg", name, num, map[string]string{"lv_attr": "swi-a-s---", "origin": "o",
		"origin_uuid": "uuid-of-o", "lv_snapshot_invalid": "0", "lv_merge_failed": "0"})
	s.paths[name], s.nums[name], s.stores[name], s.cows[name] = num.Path(), num, store, cow
	s.snapshots[name] = snapshot
	return num
}

// captureOf gives a captured snapshot by its name.
func captureOf(t *testing.T, name string) captured {
	t.Helper()
	all := listCaptured(t)
	c := all[slices.IndexFunc(all, func(c captured) bool { return c.Name == name })]
	c.unpack(t)
	return c
}

// image makes a file of zeros.
func image(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	partialSize   = 4198400 // of c64k-partial
	partialStatus = "3072/5192 256"
	fewSize       = 1024000 // of c4k-few
	fewStatus     = "88/208 16"
)

// partial shows the snapshot "s" of c64k-partial.
func partial(t *testing.T) (*shown, captured) {
	c := captureOf(t, "c64k-partial")
	s := show(t, c.origin)
	s.add("s", partialSize, c.base, c.cow, c.ChunkBytes, partialStatus)
	return s, c
}
