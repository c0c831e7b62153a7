package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Where the kernel tells of itself. Variables, so that tests can show what this machine does not have.
var (
	sysRoot  = "/sys"
	procRoot = "/proc"
	devRoot  = "/dev"
)

// layer is a block device stacked on another one, or on an image file; or that file.
type layer struct {
	id   ID
	name string // the kernel's, for example "dm-3"
	kind layerKind
}

type layerKind int

const (
	partition layerKind = iota // of the device below
	holder                     // device-mapper, md, bcache: whatever the kernel lists under holders/
	loop                       // loop device whose backing file or device is the one below
	base                       // what it is stacked on does not matter
)

// above finds everything stacked on id, directly or not. A layer comes after all that is stacked on it, so that data
// flushed layer by layer in this order end up below.
func above(id ID) ([]layer, error) {
	loops, err := loopsByBacking()
	if err != nil {
		return nil, err
	}
	return aboveWith(loops, id)
}

func aboveWith(loops map[ID][]layer, id ID) ([]layer, error) {
	var found []layer
	seen := map[ID]bool{id: true}
	var visit func(ID) error
	visit = func(below ID) error {
		next, err := directlyAbove(below)
		if errors.Is(err, fs.ErrNotExist) && below != id {
			return nil // others come and go
		}
		if err != nil {
			return fmt.Errorf("find the devices stacked on %s: %w", below, err)
		}
		for _, l := range append(next, loops[below]...) {
			if seen[l.id] {
				continue
			}
			seen[l.id] = true
			if err := visit(l.id); err != nil {
				return err
			}
			found = append(found, l)
		}
		return nil
	}
	return found, visit(id)
}

// directlyAbove lists the holders and partitions of a block device as sysfs has them.
func directlyAbove(id ID) ([]layer, error) {
	if !id.Device {
		return nil, nil
	}
	dir := sysDir(id)
	holders, err := os.ReadDir(filepath.Join(dir, "holders"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var found []layer
	for _, e := range holders {
		found = appendLayer(found, filepath.Join(dir, "holders", e.Name()), holder)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(dir, e.Name(), "partition")); err == nil {
			found = appendLayer(found, filepath.Join(dir, e.Name()), partition)
		}
	}
	return found, nil
}

// appendLayer adds the device whose sysfs folder is dir, unless it is gone again.
func appendLayer(found []layer, dir string, kind layerKind) []layer {
	if id, ok := readDev(dir); ok {
		found = append(found, layer{id: id, name: filepath.Base(dir), kind: kind})
	}
	return found
}

// loopsByBacking lists the loop devices by the file or device behind each of them.
func loopsByBacking() (map[ID][]layer, error) {
	if err := checkSysfs(); err != nil {
		return nil, err
	}
	dirs, err := filepath.Glob(filepath.Join(sysRoot, "block", "loop*", "loop"))
	if err != nil {
		return nil, err
	}
	loops, files := make(map[ID][]layer), new(overlays)
	for _, dir := range dirs {
		dir = filepath.Dir(dir)
		id, ok := readDev(dir)
		if !ok {
			continue
		}
		if b, ok := files.loopBacking(id, filepath.Base(dir)); ok {
			loops[b.id] = append(loops[b.id], layer{id: id, name: filepath.Base(dir), kind: loop})
		}
	}
	return loops, nil
}

// sysDir is the sysfs folder of a block device.
func sysDir(id ID) string {
	return filepath.Join(sysRoot, "dev", "block", fmt.Sprintf("%d:%d", id.Major, id.Minor))
}

// readDev reads the device number in a sysfs folder.
func readDev(dir string) (ID, bool) {
	return parseDevice(readAttr(dir + "/dev")) // dir may go up from a symbolic link, which Join would undo
}

// parseDevice reads the number of a device as the kernel prints it, for example "253:3".
func parseDevice(text string) (ID, bool) {
	major, minor, ok := strings.Cut(text, ":")
	ma, err1 := strconv.ParseUint(major, 10, 32)
	mi, err2 := strconv.ParseUint(minor, 10, 32)
	return ID{Device: true, Major: uint32(ma), Minor: uint32(mi)}, ok && err1 == nil && err2 == nil
}

// readNumber reads a sysfs file with a number that isn't negative; -1 if there is none.
func readNumber(path string) int64 {
	n, err := strconv.ParseInt(readAttr(path), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// nodeOf is the device node that the kernel gave to a device which it calls name.
func nodeOf(id ID, name string) string {
	for line := range strings.Lines(readAttr(filepath.Join(sysDir(id), "uevent"))) {
		if dev, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); ok {
			name = dev
		}
	}
	return filepath.Join(devRoot, name)
}

// readAttr reads a sysfs or procfs file of one line; "" if there is none.
func readAttr(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}

// label names a layer for people: the kernel's name, and device-mapper's where there is one; or that of a file.
func (l layer) label() string {
	if !l.id.Device {
		return printable(l.name)
	}
	if name := readAttr(filepath.Join(sysDir(l.id), "dm", "name")); name != "" {
		return fmt.Sprintf("%s (%s)", l.name, printable(name))
	}
	return l.name
}

// readOnly tells whether the kernel refuses to write to the layer's device.
func (l layer) readOnly() bool { return readAttr(filepath.Join(sysDir(l.id), "ro")) == "1" }
