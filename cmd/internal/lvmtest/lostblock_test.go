//go:build lvm

package lvmtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"lvmsync/format"
)

// A disk that loses one block of the undo patch, and takes all that comes after it: the kernel
// tells once. The undo patch doesn't look whole, and takes back all that was overwritten.
func TestUndoLosesBlock(t *testing.T) {
	vg := newVG(t, "lostblock", 1)
	dest, disk := plain(t, vg, "dest", failSize), plain(t, vg, "disk", scratchSize)
	p := newPair(8, failSize)
	steps, _ := p.delta(t, crafting{unit: block, perSegment: 2})
	patch := file(t, "patch", steps)
	put(t, dest, p.old)
	s := newScratch(t, disk)
	undo := filepath.Join(s.mnt, "undo")
	run(t, nil, "lvmsync-apply", "--undo", undo, patch, dest).want(t, 0, "")
	size := int64(len(read(t, undo)))
	// the same ones are used again
	places := []int64{blockOf(t, undo, size/3), blockOf(t, undo, size*5/6)}
	for _, lost := range places {
		t.Logf("byte %d of the file system is bad", lost)
		sh(t, "umount", s.mnt)
		s.remove(t)
		s = newScratch(t, disk)
		undo = filepath.Join(s.mnt, "undo")
		put(t, dest, p.old)
		s.reload(t, linear(0, lost, disk, 0), fmt.Sprintf("%d %d error", lost/512, kib/512),
			linear(lost+kib, scratchSize-lost-kib, disk, lost+kib))
		r := run(t, nil, "lvmsync-apply", "--undo", undo, patch, dest)
		r.want(t, 3, "flush the undo patch "+undo)
		s.mend(t)
		b := read(t, undo)
		if _, ended := format.End(bytes.NewReader(b), int64(len(b))); len(b) == 0 || ended {
			t.Errorf("the undo patch has %d bytes, or a trailer", len(b))
		}
		run(t, nil, "lvmsync-apply", undo, dest).want(t, 0, "")
		wantSum(t, dest, "the old state", p.oldSum)
	}
	sh(t, "umount", s.mnt)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// blockOf is where a byte of a file is on its device, at the start of a block of 1 KiB.
func blockOf(t *testing.T, path string, at int64) int64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	const fibmap = 1 // linux/fs.h
	n := int32(at / kib)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fibmap,
		uintptr(unsafe.Pointer(&n))); errno != 0 || n == 0 {
		t.Fatalf("find block %d of %s: %v", at/kib, path, errno)
	}
	return int64(n) * kib
}
