//go:build lvm

package lvmtest

import (
	"encoding/binary"
	"slices"
	"testing"
)

// A logged is what a device was asked to write, as the device-mapper target log-writes records it:
// when it was done, not when it was asked for.
type logged struct {
	off   int64  // in bytes
	data  []byte // none: a flush
	flush bool   // everything before it is durable
	fua   bool   // it is durable itself
}

// Of the kernel's drivers/md/dm-log-writes.c: a superblock of one sector, then for each entry a
// sector and the data.
const (
	logMagic   = 0x6a736677736872
	logVersion = 1
	flagFlush  = 1
	flagFUA    = 2
	flagMark   = 8
	flagMeta   = 16 // a file system says that it is not content
)

// readLog reads the log that a device holds, and tells before which of its entries there are marks.
func readLog(t *testing.T, path string) (list []logged, marks []int) {
	t.Helper()
	const sector = 512
	b, le := whole(t, path), binary.LittleEndian
	if le.Uint64(b) != logMagic || le.Uint64(b[8:]) != logVersion || le.Uint32(b[24:]) != sector {
		t.Fatalf("no log of writes: % x", b[:32])
	}
	entries := le.Uint64(b[16:])
	for b = b[sector:]; entries > 0; entries-- {
		flags := le.Uint64(b[16:])
		e := logged{off: int64(le.Uint64(b)) * sector, flush: flags&flagFlush != 0,
			fua: flags&flagFUA != 0}
		n := le.Uint64(b[8:]) * sector
		if flags&^(flagFlush|flagFUA|flagMark|flagMeta) != 0 || e.flush && n > 0 {
			t.Fatalf("entry with flags %d and %d bytes", flags, n)
		}
		b = b[sector:]
		e.data, b = slices.Clone(b[:n]), b[n:]
		if flags&flagMark == 0 {
			list = append(list, e)
		} else {
			marks = append(marks, len(list))
		}
	}
	return list, marks
}
