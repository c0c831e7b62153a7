package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A stretch is a part of a device, and where the bytes of it are.
type stretch struct {
	up   span
	to   ID
	down span
	how  placement
}

// A placement tells how the bytes of a stretch lie on what is below.
type placement int

const (
	straight  placement = iota // in the same order
	scattered                  // anywhere in it, and nobody else's are there
	allotted                   // anywhere in it, among those of others, which the driver keeps apart
	readOnly                   // they are another volume's, and only read
)

// partsOf lists what a device consists of; nothing for a disk, or a file: what a file system does with its device is its
// own affair.
func partsOf(id ID) ([]stretch, error) {
	if !id.Device {
		return nil, nil
	}
	if err := checkSysfs(); err != nil {
		return nil, err
	}
	dir := sysDir(id)
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	size := max(0, readNumber(filepath.Join(dir, "size"))) << 9
	whole := span{0, size}
	if start := readNumber(filepath.Join(dir, "start")); start >= 0 {
		if disk, ok := readDev(dir + "/.."); ok {
			return []stretch{{whole, disk, span{start << 9, start<<9 + size}, straight}}, nil
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "loop")); err == nil {
		if on, off, ok := LoopBacking(id); ok {
			return []stretch{{whole, on, span{off, off + size}, straight}}, nil
		}
		return nil, nil
	}
	return stackedParts(id, dir, whole)
}

// stackedParts lists what a device consists of that a driver made of others, such as device-mapper or md.
func stackedParts(id ID, dir string, whole span) ([]stretch, error) {
	slaves, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	how := allotted
	if md := readAttr(filepath.Join(dir, "md", "metadata_version")); md != "" && !isContainer(md) {
		how = scattered
	}
	var parts []stretch
	if _, err := os.Stat(filepath.Join(dir, "dm")); err == nil {
		if targets, err := dmTable(id); err == nil {
			for _, t := range targets {
				parts = append(parts, t.parts()...)
			}
		}
	}
	for _, e := range slaves {
		to, ok := readDev(filepath.Join(dir, "slaves", e.Name()))
		known := slices.ContainsFunc(parts, func(r stretch) bool { return r.to == to })
		if ok && !known {
			parts = append(parts, stretch{whole, to, everything, how})
		}
	}
	return parts, nil
}

// isContainer tells whether several arrays may share the disks of one with this kind of md metadata.
func isContainer(metadata string) bool { return strings.HasPrefix(metadata, "external:") }

// kernelName is the name that the kernel gave to the device with this sysfs folder.
func kernelName(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return filepath.Base(real)
	}
	return filepath.Base(dir)
}
