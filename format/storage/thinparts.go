package storage

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// A ThinPart is a part of a block device that lies in a thin pool, with only other devices in
// between.
type ThinPart struct {
	Off, Len int64 // the part, in bytes
	Block    int64 // size of the pool's blocks, in bytes
	First    int64 // where in the device one of them begins, or would: before Off, too, and below 0
	Zeroes   bool  // the pool zeroes a block before it is first written in part
	// Direct is true if the device itself is a thin volume without an external origin: what is
	// unmapped there reads as zeros, and what doesn't is mapped.
	Direct bool
	Pool   string // names the pool to people
}

// errUnknownPool means that a device stands on a thin pool which does not zero its blocks, or may
// do so, and where in the device those begin can't be told.
var errUnknownPool = errors.New("cannot tell where blocks of a thin pool begin")

// maxLayers bounds how many devices stand on one another.
const maxLayers = 32

// ThinParts finds the parts of a block device that lie in thin pools, in order. It fails where one
// that does not zero its blocks may be among them, and where those begin can't be told. It asks the
// kernel alone; a file has none.
func ThinParts(id ID) ([]ThinPart, error) {
	if !id.Device {
		return nil, nil // a file system answers for what isn't written
	}
	found, err := thinParts(id.DevNum, maxLayers)
	if err != nil {
		return nil, err
	}
	found = joined(found)
	var parts []ThinPart
	for i, p := range found {
		if !p.Zeroes && slices.ContainsFunc(found[:i], p.sharesBlock) {
			return nil, fmt.Errorf("%w: different parts of it lie in one block of %s",
				errUnknownPool, p.Pool)
		}
		parts = append(parts, p.ThinPart)
	}
	return parts, nil
}

// volumePart is a part of a device and where it is in a thin volume.
type volumePart struct {
	ThinPart
	volume kernel.DevNum
	at     int64
}

// joined makes one of parts that follow one another in a volume, too.
func joined(parts []volumePart) (fewer []volumePart) {
	for _, p := range parts {
		if n := len(fewer) - 1; n >= 0 {
			last := &fewer[n]
			if last.volume == p.volume && last.Off+last.Len == p.Off && last.at+last.Len == p.at {
				last.Len += p.Len
				continue
			}
		}
		fewer = append(fewer, p)
	}
	return fewer
}

// sharesBlock tells whether two parts have bytes in one block of a volume.
func (p volumePart) sharesBlock(q volumePart) bool {
	first := func(p volumePart) int64 { return p.at / p.Block }
	last := func(p volumePart) int64 { return (p.at + p.Len - 1) / p.Block }
	return p.volume == q.volume && first(p) <= last(q) && first(q) <= last(p)
}

func thinParts(dev kernel.DevNum, layers int) ([]volumePart, error) {
	if layers == 0 {
		return nil, fmt.Errorf("device %s: too many devices on one another", dev)
	}
	if !dev.IsMapped() {
		below, at, ok, err := belowPlain(dev, layers)
		if err != nil || !ok {
			return nil, err
		}
		parts, err := thinParts(below, layers-1)
		return window(parts, at, maxLength, 0), err
	}
	table, err := readTable(dev)
	if err != nil {
		return partsUnasked(dev, layers, err)
	}
	var parts []volumePart
	for _, t := range table {
		p, err := targetParts(dev, t, layers-1)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p...)
	}
	return parts, nil
}

const maxLength = 1<<63 - 1

// window is what parts of a device become in another one that shows its bytes from "from" on,
// length of them, at "at".
func window(parts []volumePart, from, length, at int64) (seen []volumePart) {
	for _, p := range parts {
		start, end := max(p.Off, from), p.Off+p.Len
		if end-from > length {
			end = from + length
		}
		if start >= end {
			continue
		}
		shift := at - from
		p.at += start - p.Off
		p.Off, p.Len, p.First = start+shift, end-start, p.First+shift
		p.Direct = false // a discard may not come through, and whose zeros these are isn't known
		seen = append(seen, p)
	}
	return seen
}

// belowPlain finds what a partition, or a loop device over a device, is a part of, and where that
// begins, in bytes.
func belowPlain(dev kernel.DevNum, layers int) (below kernel.DevNum, at int64, ok bool, err error) {
	if _, err := os.Stat(dev.Dir()); err != nil {
		// gone, or without sysfs: nothing is known to be below
		return kernel.DevNum{}, 0, false, nil
	}
	if dev.Has("partition") {
		disk, isDisk := kernel.At(dev.Dir() + "/..")
		start := dev.Number("start")
		if !isDisk || start < 0 {
			return kernel.DevNum{}, 0, false,
				fmt.Errorf("device %s: the disk that it is a part of is not known", dev)
		}
		return disk, start * format.SectorSize, true, nil
	}
	if dev.Has("loop") {
		return belowLoop(dev)
	}
	return kernel.DevNum{}, 0, false, opaque(dev, "another device", layers)
}

// belowLoop asks the loop device itself: the name of its backing device may mean another by now.
func belowLoop(dev kernel.DevNum) (below kernel.DevNum, at int64, ok bool, err error) {
	info, err := loopStatus(DeviceID(dev))
	if errors.Is(err, unix.ENXIO) {
		return kernel.DevNum{}, 0, false, nil // nothing behind it
	}
	if err != nil {
		return kernel.DevNum{}, 0, false, err
	}
	// Of a file nothing is known to be below: its file system answers for what isn't written.
	below, ok = deviceBehind(info)
	return below, int64(info.Offset), ok, nil
}

// targetParts finds the parts of a target, in bytes of the device.
func targetParts(dev kernel.DevNum, t dmtable.Target, layers int) ([]volumePart, error) {
	at, length := int64(t.Start)*format.SectorSize, int64(t.LengthSectors)*format.SectorSize
	if t.Type == "thin" {
		return thinPart(dev, t, at, length, layers)
	}
	legs, known := t.Legs()
	if known && len(legs) == 0 {
		return nil, nil
	}
	differs := func(l dmtable.Leg) bool { return l != legs[0] } // a delay that writes elsewhere
	if !known || legs[0].Mixed || slices.ContainsFunc(legs, differs) {
		return nil, opaque(dev, t.Type, layers)
	}
	parts, err := thinParts(legs[0].Dev, layers)
	return window(parts, int64(legs[0].Start)*format.SectorSize, length, at), err
}

// thinPart is a thin volume. A pool that itself lies in one without zeroing is beyond what is dealt
// with.
func thinPart(dev kernel.DevNum, t dmtable.Target, at, length int64,
	layers int) ([]volumePart, error) {
	thin, err := dmtable.ParseThin(t)
	if err != nil {
		return nil, err
	}
	table, err := readTable(thin.Pool)
	if err != nil {
		return nil, err
	}
	if len(table) != 1 {
		return nil, fmt.Errorf("table of the thin pool %s: %d lines, not one", thin.Pool,
			len(table))
	}
	pool, err := dmtable.ParsePool(table[0])
	if err != nil {
		return nil, err
	}
	zeroes := !slices.Contains(pool.Features, "skip_block_zeroing")
	inner, err := thinParts(pool.Data, layers)
	if err != nil {
		return nil, err
	}
	if !zeroes && slices.ContainsFunc(inner, unzeroed) {
		return nil, fmt.Errorf("%w: %s lies in another one", errUnknownPool, poolName(thin.Pool))
	}
	part := ThinPart{Off: at, Len: length, Block: int64(pool.BlockSectors) * format.SectorSize,
		First: at, Zeroes: zeroes,
		Direct: !thin.HasExternal, Pool: poolName(thin.Pool)}
	return []volumePart{{part, dev, 0}}, nil
}

func unzeroed(p volumePart) bool { return !p.Zeroes }

// opaque is an error if a device, whose bytes lie elsewhere in those beneath it, stands on a pool
// without zeroing.
func opaque(dev kernel.DevNum, kind string, layers int) error {
	slaves, err := dev.Below()
	if err != nil {
		return err
	}
	for _, s := range slaves {
		parts, err := thinParts(s, layers-1)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(parts, unzeroed); i >= 0 {
			return fmt.Errorf("%w: it stands on %s, which does not zero its blocks, by way of %s",
				errUnknownPool, parts[i].Pool, kind)
		}
	}
	return nil
}

// partsUnasked does without the table of a device, for which a program may lack the right: what
// stands on no other device of device-mapper is in no thin pool, and LVM marks its own.
func partsUnasked(dev kernel.DevNum, layers int, reason error) ([]volumePart, error) {
	slaves, err := dev.Below()
	if err != nil {
		return nil, err
	}
	ours := strings.HasPrefix(dev.UUID(), "LVM-")
	for _, s := range slaves {
		if s.IsMapped() && (!ours || !strings.HasPrefix(s.UUID(), "LVM-") ||
			strings.HasSuffix(s.UUID(), "-tpool")) {
			return nil, fmt.Errorf("%w: %w", errUnknownPool, reason)
		}
	}
	return nil, opaque(dev, "device-mapper", layers)
}

// poolName names a pool to people.
func poolName(pool kernel.DevNum) string {
	if name := pool.Attr("dm/name"); name != "" {
		return name
	}
	return pool.Path()
}
