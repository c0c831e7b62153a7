package devmapper

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lvmsync/format/storage/kernel"
)

// An InnerError is about a logical volume that holds nothing which could be dumped by itself: a
// pool, or what LVM makes other volumes of.
type InnerError struct{ LV LogicalVolume }

func (e *InnerError) Error() string {
	advice := "name the volume that it belongs to, or a snapshot of that"
	if e.LV.SegType == "thin-pool" {
		advice = "name a thin snapshot"
	}
	return fmt.Sprintf("%s/%s is %s: %s", e.LV.VG, e.LV.Name, e.LV.inner(), advice)
}

// inner tells what a volume is that is not one of its own, empty for all others (see lvs(8),
// lv_attr).
func (v LogicalVolume) inner() string {
	switch {
	case v.SegType == "thin-pool":
		return "a thin pool"
	case v.SegType == "vdo-pool":
		return "a VDO pool"
	case v.Attr == "":
		return ""
	}
	switch v.Attr[0] {
	case 'T':
		return "the data of a thin pool"
	case 'D':
		return "the data of a VDO pool"
	case 'e':
		return "metadata of a pool or RAID volume, or the spare for them"
	case 'i', 'I':
		return "a part of a RAID or mirrored volume"
	case 'l':
		return "the log of a mirrored volume"
	case 'C':
		if v.SegType != "cache" && v.SegType != "writecache" {
			return "a cache"
		}
	}
	return ""
}

// CheckInner gives an [InnerError] for a volume that holds nothing which could be dumped by itself.
func (v LogicalVolume) CheckInner() error {
	if v.inner() == "" {
		return nil
	}
	return &InnerError{v}
}

// isGroup tells whether a volume group is named: one that has a folder with nodes of its volumes.
func isGroup(name string) bool {
	dir := name
	if !strings.Contains(name, "/") {
		dir = filepath.Join(kernel.Dev, name)
	}
	if filepath.Dir(dir) != kernel.Dev || filepath.Base(dir) == "mapper" {
		return false
	}
	nodes, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, node := range nodes {
		if num, err := blockDeviceAt(filepath.Join(dir, node.Name())); err == nil {
			if num.IsMapped() {
				return true
			}
		}
	}
	return false
}
