package thick

import (
	"math"
	"path/filepath"
	"strconv"

	"lvmsync/format"
	"lvmsync/format/storage"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// A place is a part of a device or file, in bytes.
type place struct {
	id       storage.ID
	off, end int64
	vague    bool // somewhere in it
}

// wholly is all of a device or file.
func wholly(id storage.ID) place {
	if id.Device {
		return place{id: id, end: sizeIn(id.Dir())}
	}
	return place{id: id, end: math.MaxInt64}
}

// within is the part of p from byte off to end, as byte at of another device.
func (p place) within(off, end int64, other storage.ID, at int64) (place, bool) {
	from, to := max(p.off, off), min(p.end, end)
	return place{id: other, off: at + (from - off), end: at + (to - off), vague: p.vague}, from < to
}

// A survey knows on what parts of which devices and files a device lies.
type survey struct {
	tables map[storage.ID]dmtable.Table // of device-mapper's devices; nil: not known
}

// places lists where p lies: on its device itself, and on what is beneath that, down to the bottom.
func (s survey) places(p place) []place {
	var found []place
	seen := make(map[place]bool)
	var visit func(place)
	visit = func(p place) {
		if seen[p] {
			return
		}
		seen[p] = true
		found = append(found, p)
		for _, lower := range s.beneath(p) {
			visit(lower)
		}
	}
	visit(p)
	return found
}

// beneath lists on what a place lies directly. What is gone by now is left out.
func (s survey) beneath(p place) (lower []place) {
	if !p.id.Device {
		return nil
	}
	dir := p.id.Dir()
	if start, err := strconv.ParseInt(p.id.Attr("start"), 10, 64); err == nil { // a partition
		if disk, ok := kernel.At(dir + "/.."); ok {
			part, ok := p.within(0, sizeIn(dir), storage.DeviceID(disk), start*format.SectorSize)
			return only(part, ok)
		}
	}
	if l, ok := loopOn(dir); ok {
		part, ok := p.within(0, l.length, l.backing, l.start)
		return only(part, ok)
	}
	if table, ok := s.tables[p.id]; ok {
		return s.byTable(p, table)
	}
	return slaves(p)
}

func only(p place, ok bool) []place {
	if !ok {
		return nil
	}
	return []place{p}
}

// byTable lists where a place on a device of device-mapper lies.
func (s survey) byTable(p place, table dmtable.Table) (lower []place) {
	for _, t := range table {
		start, end := int64(t.Start)*format.SectorSize, int64(t.Start+t.LengthSectors)*format.SectorSize
		if p.off >= end || p.end <= start {
			continue
		}
		legs, ok := t.Legs()
		if !ok && t.Type == "multipath" { // each path is the whole device
			for _, path := range slaves(p) {
				path.off, path.end, path.vague = p.off, p.end, p.vague
				lower = append(lower, path)
			}
			continue
		}
		if !ok {
			return slaves(p)
		}
		for _, leg := range legs {
			id := storage.DeviceID(leg.Dev)
			at := int64(leg.Start) * format.SectorSize
			if leg.Mixed {
				lower = append(lower, place{id: id, off: at, end: at + int64(leg.Length)*format.SectorSize, vague: p.vague})
				continue
			}
			part, _ := p.within(start, end, id, at)
			lower = append(lower, part)
		}
	}
	return lower
}

// slaves are the devices beneath one of which no more is known.
func slaves(p place) (lower []place) {
	dirs, _ := filepath.Glob(filepath.Join(p.id.Dir(), "slaves", "*"))
	for _, dir := range dirs {
		if num, ok := kernel.At(dir); ok {
			lower = append(lower, place{id: storage.DeviceID(num), end: sizeIn(num.Dir()), vague: true})
		}
	}
	return lower
}

// A loopDevice is what a loop device shows: length bytes from start on of a file or device.
type loopDevice struct {
	backing       storage.ID
	start, length int64
}

// loopOn reads which part of what a loop device shows, whose folder in sysfs is dir. The file behind it may have another name by now,
// or none: the kernel knows it by device and inode, but tells that to root only.
func loopOn(dir string) (l loopDevice, ok bool) {
	num, ok := kernel.At(dir)
	if ok {
		l.backing, l.start, ok = storage.LoopBacking(storage.DeviceID(num))
	}
	l.length = sizeIn(dir)
	return l, ok
}

// sizeIn is the size in bytes of the device of a folder in sysfs.
func sizeIn(dir string) int64 {
	sectors, err := strconv.ParseInt(kernel.Line(dir+"/size"), 10, 64)
	if err != nil || sectors > math.MaxInt64/format.SectorSize {
		return math.MaxInt64
	}
	return sectors * format.SectorSize
}
