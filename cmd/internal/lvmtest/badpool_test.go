//go:build lvm

package lvmtest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A pool that takes no messages is told as such, with what to do about it; nothing is left reserved
// in it.
func TestThinBadPool(t *testing.T) {
	for _, test := range []struct {
		name    string
		spoil   func(t *testing.T, vg, origin string)
		message string
	}{
		{"read-only", func(t *testing.T, vg, _ string) {
			reloadDevice(t, vg+"-pool-tpool",
				func(table string) string { return withFeature(table, "read_only") })
		}, "is read-only and takes no messages"},
		{"needs check", func(t *testing.T, vg, origin string) {
			// What the kernel reads is right, what it writes gets lost: it gives up the
			// transaction.
			reloadDevice(t, vg+"-pool_tmeta", func(table string) string {
				return strings.Replace(table, "linear", "flakey", 1) + " 0 86400 1 error_writes"
			})
			provoke(t, origin)
		}, `lvconvert --repair`},
		{"failed", func(t *testing.T, vg, origin string) {
			reloadDevice(t, vg+"-pool_tmeta", func(table string) string {
				return strings.Join(strings.Fields(table)[:2], " ") + " error"
			})
			provoke(t, origin)
		}, "it has failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			newVG(t, "badpool", 1)
			sh(t, "lvcreate", "-qq", "-y", "-c", "64k", "-L", "8m", "-T", "badpool/pool")
			origin := newThin(t, "badpool", "origin", 4*mib)
			change(t, origin, 1, 10, 0)
			sh(t, "lvcreate", "-qq", "-y", "-s", "-kn", "-n", "snap", "badpool/origin")
			test.spoil(t, "badpool", origin)
			for _, args := range [][]string{{"badpool/snap"},
				{"--to", "badpool/origin", "badpool/snap"}, {"--reverse", "badpool/snap"}} {
				run(t, nil, "lvmsync-dump", args...).want(t, 1, test.message)
			}
			if status := sh(t, "dmsetup", "status", "badpool-pool-tpool"); !strings.Contains(status,
				" - ") && !strings.Contains(status, " Fail") {
				t.Errorf("the metadata snapshot is still reserved: %s", status)
			}
		})
	}
}

// reloadDevice changes the table, of one line, of a device in use. It's as before when the test
// ends.
func reloadDevice(t *testing.T, name string, changed func(table string) string) {
	t.Helper()
	before := strings.TrimSpace(sh(t, "dmsetup", "table", name))
	m := mapped{name}
	// A change that fails leaves it suspended: whoever reads from it then waits for ever.
	t.Cleanup(func() { sh(t, "dmsetup", "resume", name) })
	t.Cleanup(func() { m.reload(t, before) })
	m.reload(t, changed(before))
}

// withFeature adds a feature to the table of a thin pool: start, length, type, metadata, data,
// block size, low water mark, and how many features follow.
func withFeature(table, feature string) string {
	fields := strings.Fields(table)
	var n int
	if len(fields) > 7 {
		fmt.Sscan(fields[7], &n)
	} else {
		fields = append(fields, "0")
	}
	fields[7] = fmt.Sprint(n + 1)
	return strings.Join(append(fields, feature), " ")
}

// provoke makes the pool write metadata, which may fail.
func provoke(t *testing.T, origin string) {
	t.Helper()
	f, err := os.OpenFile(origin, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for off := int64(0); off < 4*mib; off += 256 * kib {
		_, _ = f.WriteAt(make([]byte, 4096), off)
	}
	_ = f.Sync()
}
