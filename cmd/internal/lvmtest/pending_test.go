//go:build lvm

package lvmtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A slowStore is a snapshot whose store can turn slow.
type slowStore struct {
	snap, origin, store mapped
	quick, slow         string // tables of the store
}

// newSlowStore makes what LVM makes for a snapshot with chunks of 4 KiB, with a device beneath the
// store that is the test's.
func newSlowStore(t *testing.T) slowStore {
	t.Helper()
	const size, storeSize = 8 * mib, 4 * mib
	vg := newVG(t, "pending", 2)
	under, cow := plain(t, vg, "under", size), plain(t, vg, "cow", storeSize)
	sh(t, "dd", "if=/dev/zero", "of="+cow, "bs=4096", "count=1", "conv=fsync", "status=none")
	s := slowStore{
		quick: linear(0, storeSize, cow, 0),
		// Data take longer than the test; reading and flushing don't.
		slow: fmt.Sprintf("0 %d delay %[2]s 0 0 %[2]s 0 600000 %[2]s 0 0", storeSize/512, cow),
	}
	org := newMapped(t, "slow-real", linear(0, size, under, 0))
	s.store = newMapped(t, "slow-cow", s.quick)
	s.snap = newMapped(t, "slow-snap", fmt.Sprintf("0 %d snapshot %s %s P 8", size/512, org.path(),
		s.store.path()))
	s.origin = newMapped(t, "slow-origin",
		fmt.Sprintf("0 %d snapshot-origin %s", size/512, org.path()))
	return s
}

func (s slowStore) status(t *testing.T) string { return sh(t, "dmsetup", "status", s.snap.name) }

// startWrite writes a chunk, which does not end before the store is quick again. The kernel counts
// its exception already when startWrite returns. The file done is there once it has ended.
func (s slowStore) startWrite(t *testing.T, chunk int64, done string) (end func()) {
	t.Helper()
	s.store.reload(t, s.slow)
	before := s.status(t)
	dd := fmt.Sprintf("dd if=/dev/urandom of=%s bs=4096 count=1 seek=%d oflag=direct status=none "+
		"&& touch %s", s.origin.path(), chunk, done)
	cmd := start(t, exec.Command("sh", "-c", dd))
	var once sync.Once
	end = func() {
		once.Do(func() {
			s.store.reload(t, s.quick)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(end) // the kernel removes no snapshot before all its exceptions are written
	cmd.until(t, func() bool { return s.status(t) != before })
	return end
}

// The kernel counts an exception that it has not written yet, and one too many while that is the
// last of an area. It is on no list: what it is for has not reached the origin. All that was
// written before is, and nobody waits.
func TestPendingException(t *testing.T) {
	const perArea = 256
	for _, n := range []int64{0, 10, perArea - 2, perArea - 1, perArea, 2*perArea - 1} {
		t.Run(fmt.Sprintf("behind %d others", n), func(t *testing.T) {
			s := newSlowStore(t)
			var offsets []int64
			for i := range n {
				offsets = append(offsets, 8*kib*i)
			}
			poke(t, s.origin.path(), 1, offsets...)
			end := s.startWrite(t, 1601, filepath.Join(t.TempDir(), "done"))
			pending := s.status(t)
			if extents, bytes := changed(t, s.snap.path()); extents != n || bytes != n*4*kib {
				t.Errorf("%d extents, %d bytes while one is pending, want %d extents", extents,
					bytes, n)
			}
			if s.status(t) != pending {
				t.Error("the exception is not pending any more: the test proves nothing")
			}
			end()
			if extents, bytes := changed(t, s.snap.path()); extents != n+1 || bytes != (n+1)*4*kib {
				t.Errorf("%d extents, %d bytes afterwards, want %d extents", extents, bytes, n+1)
			}
		})
	}
}

// The last exception of an area is being made when the kernel is first asked, and is on the device
// before the list is read. After it comes none.
func TestPendingBeforeList(t *testing.T) {
	s := newSlowStore(t)
	const n = 255
	var offsets []int64
	for i := range int64(n) {
		offsets = append(offsets, 8*kib*i)
	}
	poke(t, s.origin.path(), 1, offsets...)
	done := filepath.Join(t.TempDir(), "done")
	end := s.startWrite(t, 1601, done)
	bin := wrapDmsetup(t, fmt.Sprintf(`case " $* " in *" status "*) ;; *) exec "$real" "$@" ;; esac
"$real" "$@"; status=$?
if [ ! -e %[1]s ]; then
  "$real" reload %[2]s --table %[3]q && "$real" resume --nolockfs --noflush %[2]s
  until [ -e %[1]s ] || [ $SECONDS -gt 300 ]; do :; done
fi
exit $status`, done, s.store.name, s.quick))
	d := runCommand(t, nil, withPath(bin, "lvmsync-dump", "--dry-run", s.snap.path()))
	d.want(t, 0, "")
	end()
	if extents, bytes := changed(t, s.snap.path()); extents != n+1 || bytes != (n+1)*4*kib {
		t.Errorf("%d extents, %d bytes", extents, bytes)
	}
	if want := fmt.Sprintf("%d extents", n+1); !strings.Contains(d.stdout, want) {
		t.Errorf("%q, want %s", d.stdout, want)
	}
}
