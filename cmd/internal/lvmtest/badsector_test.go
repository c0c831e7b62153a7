//go:build lvm

package lvmtest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
)

// withBad is the table of a device that is a part of another one, but for bad sectors.
func withBad(size int64, dev string, bad ...int64) []string {
	var table []string
	at := int64(0)
	for _, sector := range bad {
		if off := sector * 512; off > at {
			table = append(table, linear(at, off-at, dev, at))
		}
		table = append(table, fmt.Sprintf("%d 1 error", sector))
		at = sector*512 + 512
	}
	if at < size {
		table = append(table, linear(at, size-at, dev, at))
	}
	return table
}

// without is what a volume holds if bad sectors are zeros.
func without(content []byte, bad []int64) []byte {
	b := bytes.Clone(content)
	for _, sector := range bad {
		clear(b[sector*512 : sector*512+512])
	}
	return b
}

// A sector that can't be read ends a dump by default. If it shall go on, that sector and no other
// is lost, and nobody gets zeros for it unasked.
func TestBadSectors(t *testing.T) {
	const size = 8 * mib
	vg := newVG(t, "badsec", 1)
	under, dest := plain(t, vg, "under", size), plain(t, vg, "dest", size)
	fill(t, under, 1)
	content := whole(t, under)
	bad := []int64{0, 7, 8, 2048, 2050, 4095, 4096, 9000, size/512 - 1}
	m := newMapped(t, "bad-sectors", withBad(size, under, bad...)...)

	d := run(t, nil, "lvmsync-dump", "--full", m.path())
	d.want(t, 1, "input/output error")
	d.want(t, 1, "read "+m.path()+" at byte ")
	d.want(t, 1, "hint: with --on-read-error zero")
	wantNoPatch(t, d.stdout)

	patch := filepath.Join(t.TempDir(), "x.lvmpatch")
	run(t, nil, "lvmsync-dump", "--full", "--on-read-error=zero", "-o", patch, m.path()).want(t, 0,
		"4608 bytes in 7 places could not be read")
	before := whole(t, dest)
	run(t, nil, "lvmsync-apply", patch, dest).want(t, 4,
		"4608 bytes in 7 extents, at bytes [0, 512), [3584, 4608), [1048576, 1049088), ...")
	wantContent(t, dest, "what it did", before)
	run(t, nil, "lvmsync-apply", "--verify", "--accept-lost-sectors", patch, dest).want(t, 0,
		"4608 bytes in 7 extents")
	wantContent(t, dest, "zeros in bad sectors, all else of the device", without(content, bad))

	// Read again when the disk is well.
	m.reload(t, linear(0, size, under, 0))
	transfer(t, dest, "--full", "--on-read-error=zero", m.path())
	wantContent(t, dest, "all of the device", content)

	// All is bad from some time on, or from the beginning: that is no bad sector.
	m.reload(t, fmt.Sprintf("0 %d error", size/512))
	d = run(t, nil, "lvmsync-dump", "--full", "--on-read-error=zero", m.path())
	d.want(t, 1, "nor can anything else be read")
	wantNoPatch(t, d.stdout)
}

// A delta of an origin with bad sectors, where only those that have changed matter; an exact one,
// too.
func TestBadSectorsOfOrigin(t *testing.T) {
	const size = 8 * mib
	vg := newVG(t, "badorg", 2)
	under, cow, dest := plain(t, vg, "under", size), plain(t, vg, "cow", 2*mib),
		plain(t, vg, "dest", size)
	fill(t, under, 1)
	old := whole(t, under)
	sh(t, "dd", "if=/dev/zero", "of="+cow, "bs=4096", "count=1", "conv=fsync", "status=none")
	org := newMapped(t, "bad-real", linear(0, size, under, 0))
	// What LVM does for a snapshot, with a device beneath that can turn bad.
	newMapped(t, "bad-snap", fmt.Sprintf("0 %d snapshot %s %s P 8", size/512, org.path(), cow))
	origin := newMapped(t, "bad-origin", fmt.Sprintf("0 %d snapshot-origin %s", size/512,
		org.path()))
	poke(t, origin.path(), 3, 64*kib, 128*kib, 1*mib, 1*mib+512, 5*mib)
	content := whole(t, under)
	// The first and the last have not changed, the third is in a chunk that has.
	bad := []int64{10, 128 * kib / 512, 1*mib/512 + 3, 5 * mib / 512, 6 * mib / 512}
	changed := bad[1:4]
	org.reload(t, withBad(size, under, bad...)...)

	for _, exact := range []bool{false, true} {
		put(t, dest, old)
		args := []string{"--on-read-error", "zero", "/dev/mapper/bad-snap"}
		if exact {
			args = append(args, "--exact-base")
		}
		d := run(t, nil, "lvmsync-dump", args...)
		d.want(t, 0, "1536 bytes in 3 places could not be read")
		patch := []byte(d.stdout)
		applyPatch(t, patch, "--spool", t.TempDir(), dest).want(t, 4, "1536 bytes in 3 extents")
		wantContent(t, dest, "the old state", old)
		applyPatch(t, patch, "--accept-lost-sectors", dest).want(t, 0, "1536 bytes in 3 extents")
		wantContent(t, dest, "the new state without the bad sectors", without(content, changed))
	}
}

// A snapshot that overflows gives the same errors as bad sectors. It's none.
func TestFullOfOverflowing(t *testing.T) {
	origin, snap := newOverflowing(t, "badfull", 128*mib)
	wantDumpFails(t, mib, func() { overflow(t, origin) },
		"the snapshot has overflowed and is invalid",
		"--full", "--on-read-error", "zero", snap)
	run(t, nil, "lvmsync-dump", "--full", "--on-read-error", "zero", snap).want(t, 1, "")
}

// What lies between the extents of a patch isn't needed, and may be bad. That is read along, for
// speed, where extents are near each other.
func TestBadSectorsBetween(t *testing.T) {
	const size = 8 * mib
	vg := newVG(t, "badbtw", 2)
	under, changed := plain(t, vg, "under", size), plain(t, vg, "changed", size)
	fill(t, under, 1)
	before := whole(t, under)
	after := bytes.Clone(before)
	for off := int64(0); off < 64*kib; off += 8 * kib {
		after[off]++                              // data extents, 4 KiB apart
		clear(after[1*mib+off : 1*mib+off+4*kib]) // zero extents
	}
	put(t, changed, after)
	patch, undo := filepath.Join(t.TempDir(), "x.lvmpatch"), filepath.Join(t.TempDir(), "undo")
	run(t, nil, "lvmsync-dump", "-o", patch, "--base", under, changed).want(t, 0, "")
	dest := newMapped(t, "bad-between", withBad(size, under, 9, (1*mib+4*kib)/512,
		(1*mib+20*kib)/512+3)...)

	run(t, nil, "lvmsync-apply", "--undo", undo, patch, dest.path()).want(t, 0, "")
	wantContent(t, under, "the new state", after)
	run(t, nil, "lvmsync-apply", undo, dest.path()).want(t, 0, "")
	wantContent(t, under, "the old state", before)
}
