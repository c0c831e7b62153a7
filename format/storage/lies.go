package storage

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"lvmsync/format/durable"
	"lvmsync/format/storage/kernel"
)

// LiesOn tells whether the file or folder at path is kept on the storage that a block device or
// file stands for: in a file system on it, or in an image file there, and so on. What is written to
// the storage may then change the file, and the other way round. Of an overlay that counts which is
// written to. Of a file system that doesn't tell what it is on, as those of a network don't,
// nothing is known, and the answer is no.
func LiesOn(path string, id ID) (bool, error) {
	v := newSurvey()
	own, err := v.storageOf(id, everything, nil)
	if err != nil {
		return false, err
	}
	loops, err := loopsByBacking()
	if err != nil {
		return false, err
	}
	names := surroundings{loops: loops}
	left, err := grounds(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	seen := make(map[ID]bool)
	for ; err == nil && len(left) > 0; left = left[1:] {
		if seen[left[0]] {
			continue
		}
		seen[left[0]] = true
		theirs, goneErr := v.storageOf(left[0], everything, nil)
		if goneErr != nil && !left[0].Exists() {
			continue
		}
		if goneErr != nil {
			return false, goneErr
		}
		if own.Overlaps(theirs) {
			return true, nil
		}
		for _, below := range theirs.below() {
			if !below.Device {
				left = append(left, groundsOfFile(below, names)...)
			}
		}
	}
	return false, err
}

// grounds lists the block devices that the file system of path is on.
func grounds(path string) ([]ID, error) {
	g, err := durable.GroundOf(path)
	if err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	var found []ID
	for _, dev := range g.Devices {
		members, _ := btrfsMembers(DeviceID(kernel.Of(dev)))
		for id := range members {
			if id.Exists() && !slices.Contains(found, id) {
				found = append(found, id)
			}
		}
	}
	return found, nil
}

// groundsOfFile does the same for a file behind a loop device, as far as there is a way to it.
func groundsOfFile(file ID, names surroundings) []ID {
	if device := DeviceID(file.DevNum); device.Exists() {
		return []ID{device}
	}
	name := names.nameOf(file)
	if now, err := Identify(name); err != nil || now != file {
		return nil
	}
	found, _ := grounds(name)
	return found
}
