package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"lvmsync/format"
	"lvmsync/format/durable"
)

// A BackingFile is an image file that a device stands on, opened so that it can be locked.
type BackingFile struct {
	*os.File
	// Path is a name for people.
	Path string
	// Whole is true if all of it belongs to the device. The file is open for writing then, if it
	// can be; else, so as not to look like somebody who writes where other devices may lie, for
	// reading.
	Whole bool
}

// OpenBacking opens the image files that a device at path stands on, and the file behind each one
// in an overlay, which has locks of its own; of a file at path only that. The caller closes them.
// One that has lost its name, or whose name leads elsewhere, is opened through a process that has
// it open; if there is none, nobody can have locked it, and it is left out. It gives the names of
// those that could not be opened for other reasons.
func OpenBacking(path string) (files []BackingFile, missing []string, err error) {
	id, err := Identify(path)
	if err != nil {
		return nil, nil, err
	}
	s, err := Of(id)
	if err != nil {
		return nil, nil, err
	}
	add := func(name string, file ID) {
		f, err := openFile(name, file)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s (%v)", printable(name), durable.Cause(err)))
		} else if f != nil {
			files = append(files, openWhole(f, printable(name), s, file))
		}
	}
	addReal := func(name string, file ID) {
		if real := new(overlays).real(name); real != name {
			add(real, file)
		}
	}
	if !id.Device {
		addReal(path, id)
		return files, missing, nil
	}
	loops, err := loopsByBacking()
	if err != nil {
		return nil, nil, err
	}
	names := surroundings{loops: loops}
	for _, below := range s.below() {
		if !below.Device {
			name := names.nameOf(below)
			add(name, below)
			addReal(name, below)
		}
	}
	return files, missing, nil
}

// openFile opens the file id for reading, by its name or through a process. It gives nil if there
// is no way to it.
func openFile(name string, id ID) (*os.File, error) {
	if now, err := Identify(name); err == nil && now == id {
		return openAs(id, name)
	}
	files := new(overlays)
	// fails for a bad pattern only
	fds, _ := filepath.Glob(filepath.Join(procRoot, "[0-9]*", "fd", "[0-9]*"))
	for _, fd := range fds {
		if now, ok := files.identifyFD(fd); ok && now == id {
			if f, err := openAs(id, fd); err == nil {
				return f, nil
			}
		}
	}
	return nil, nil
}

// openWhole opens a file once more, for writing, if all of it belongs to the storage.
func openWhole(f *os.File, path string, s Storage, id ID) BackingFile {
	info, err := f.Stat()
	// A loop device has whole sectors only.
	if err != nil || !s.covers(id, info.Size()/format.SectorSize*format.SectorSize) {
		return BackingFile{File: f, Path: path}
	}
	again := filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd())))
	if w, err := os.OpenFile(again, os.O_RDWR, 0); err == nil {
		f.Close()
		f = w
	}
	return BackingFile{f, path, true}
}
