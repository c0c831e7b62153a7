package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lvmsync/format/storage/kernel"
)

// procRoot is where the kernel tells of processes. A variable, so that tests can show what this
// machine does not have.
var procRoot = "/proc"

// layer is a block device stacked on another one, or on an image file; or that file.
type layer struct {
	id   ID
	name string // the kernel's, for example "dm-3"
	kind layerKind
}

type layerKind int

const (
	partition layerKind = iota // of the device below
	// device-mapper, md, bcache: whatever the kernel lists under holders/
	holder
	loop // loop device whose backing file or device is the one below
	base // what it is stacked on does not matter
)

// above finds everything stacked on id, directly or not. A layer comes after all that is stacked on
// it, so that data flushed layer by layer in this order end up below.
func above(id ID) ([]layer, error) {
	loops, err := loopsByBacking()
	if err != nil {
		return nil, err
	}
	return aboveWith(loops, id)
}

func aboveWith(loops loopDevices, id ID) ([]layer, error) {
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
		over, err := loops.over(below)
		if err != nil {
			return fmt.Errorf("find the devices stacked on %s: %w", below, err)
		}
		for _, l := range append(next, over...) {
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
	dir := id.Dir()
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
	if num, ok := kernel.At(dir); ok {
		found = append(found, layer{id: DeviceID(num), name: filepath.Base(dir), kind: kind})
	}
	return found
}

// loopDevices are the loop devices of this machine.
type loopDevices struct {
	on     map[ID][]layer // by the file or device behind each of them
	silent []silent
}

// over lists those that lie on a device or file. It fails if one that doesn't answer may do so.
func (l loopDevices) over(id ID) ([]layer, error) {
	for _, s := range l.silent {
		if s.mayLieOn(id) {
			return nil, s.err
		}
	}
	return l.on[id], nil
}

// HasLoop tells whether a loop device lies on a device or file.
func HasLoop(id ID) (bool, error) {
	loops, err := loopsByBacking()
	if err != nil {
		return false, err
	}
	over, err := loops.over(id)
	return len(over) > 0, err
}

// loopsByBacking asks all of them what they lie on.
func loopsByBacking() (loops loopDevices, err error) {
	if err := checkSysfs(); err != nil {
		return loops, err
	}
	dirs, err := filepath.Glob(filepath.Join(kernel.Sys, "block", "loop*", "loop"))
	if err != nil {
		return loops, err
	}
	loops.on = make(map[ID][]layer)
	files := new(overlays)
	for _, dir := range dirs {
		dir = filepath.Dir(dir)
		num, ok := kernel.At(dir)
		if !ok {
			continue
		}
		id := DeviceID(num)
		b, ok, err := files.loopBacking(id)
		if err != nil {
			loops.silent = append(loops.silent, files.silence(id, err))
		}
		if ok {
			l := layer{id: id, name: filepath.Base(dir), kind: loop}
			loops.on[b.id] = append(loops.on[b.id], l)
		}
	}
	return loops, nil
}

// label names a layer for people: the kernel's name, and device-mapper's where there is one; or
// that of a file.
func (l layer) label() string {
	if !l.id.Device {
		return printable(l.name)
	}
	if name := l.id.Attr("dm/name"); name != "" {
		return fmt.Sprintf("%s (%s)", l.name, printable(name))
	}
	return l.name
}

// readOnly tells whether the kernel refuses to write to the layer's device.
func (l layer) readOnly() bool { return l.id.Attr("ro") == "1" }
