package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/kernel"
)

// A target is a line of a device-mapper table: what a part of a device consists of.
type target struct {
	start, length int64 // bytes
	kind          string
	args          []string
}

// dmVersion is the version of the interface that is spoken, of 2005.
var dmVersion = [3]uint32{4, 0, 0}

// maxTable bounds the memory for a table in bytes. One of a million lines has less.
const maxTable = 128 << 20

// dmTable is how the table of a device-mapper device is found; a variable, so that tests can show what this machine does
// not have.
var dmTable = askTable

// askTable asks the kernel for the table of a device-mapper device. That needs root, but no program.
func askTable(id ID) ([]target, error) {
	f, err := os.OpenFile(filepath.Join(kernel.Dev, "mapper", unix.DM_CONTROL_NODE), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for size := 16 << 10; size <= maxTable; size *= 4 {
		b, full, err := dmStatus(f, id, size)
		if err != nil {
			return nil, fmt.Errorf("table of %s: %w", id, err)
		}
		if !full {
			defer clear(b) // it may hold the key of a dm-crypt device
			return parseTargets(b)
		}
	}
	return nil, fmt.Errorf("table of %s: it has more than %d bytes", id, maxTable)
}

// dmStatus does the ioctl with room for size bytes of answer. It gives true if that was not enough.
func dmStatus(control *os.File, id ID, size int) (answer []byte, full bool, err error) {
	b := make([]byte, size)
	head := (*unix.DmIoctl)(unsafe.Pointer(unsafe.SliceData(b)))
	*head = unix.DmIoctl{
		Version: dmVersion, Data_size: uint32(size), Data_start: unix.SizeofDmIoctl, Dev: encodeDevice(id),
		Flags: unix.DM_STATUS_TABLE_FLAG | unix.DM_SECURE_DATA_FLAG,
	}
	err = controlPointer(control, unix.DM_TABLE_STATUS, unsafe.Pointer(head))
	full = err == nil && head.Flags&unix.DM_BUFFER_FULL_FLAG != 0
	if full {
		clear(b)
	}
	return b, full, err
}

// encodeDevice is the number of a device as device-mapper and old system calls have it.
func encodeDevice(id ID) uint64 {
	return uint64(id.Minor&0xff | id.Major<<8 | (id.Minor&^0xff)<<12)
}

func controlPointer(f *os.File, request uintptr, arg unsafe.Pointer) error {
	return kernel.Control(f, func(fd int) error {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
			return errno
		}
		return nil
	})
}

// parseTargets parses the kernel's answer: header, then for each target a fixed part and a string that ends with 0.
func parseTargets(b []byte) ([]target, error) {
	head := (*unix.DmIoctl)(unsafe.Pointer(unsafe.SliceData(b)))
	begin := int64(head.Data_start)
	at, size := begin, min(int64(head.Data_size), int64(len(b)))
	var targets []target
	for range head.Target_count {
		if at < 0 || at+unix.SizeofDmTargetSpec > size {
			return nil, errors.New("the kernel's answer is cut off")
		}
		spec := (*unix.DmTargetSpec)(unsafe.Pointer(&b[at]))
		text := b[at+unix.SizeofDmTargetSpec : size]
		if end := bytes.IndexByte(text, 0); end >= 0 {
			text = text[:end]
		}
		targets = append(targets, target{
			start: int64(spec.Sector_start) << 9, length: int64(spec.Length) << 9,
			kind: unix.ByteSliceToString(spec.Target_type[:]), args: strings.Fields(string(text)),
		})
		at = begin + int64(spec.Next)
	}
	return targets, nil
}

// parts tells which parts of other devices a target consists of.
func (t target) parts() []stretch {
	up := span{t.start, t.start + t.length}
	switch t.kind {
	case "linear", "flakey":
		return t.straight(0, 1)
	case "crypt":
		return t.straight(3, 4)
	case "delay": // reads, writes and flushes may go different ways
		return append(append(t.straight(0, 1), t.straight(3, 4)...), t.straight(6, 7)...)
	case "striped":
		return t.stripes()
	}
	var parts []stretch
	for i := range t.args {
		to, ok := t.device(i)
		if !ok {
			continue
		}
		r := stretch{up: up, to: to, down: everything, how: scattered}
		switch {
		case t.kind == "snapshot-origin":
			r.down, r.how = up, straight
		case t.kind == "thin" && i == 0:
			r.how = allotted
		case t.kind == "thin", t.kind == "snapshot" && i == 0: // the origin is another volume
			r.how = readOnly
		}
		parts = append(parts, r)
	}
	return parts
}

// straight is the stretch of a target that lies in one piece on a device, whose number and first sector are the arguments
// with these indexes.
func (t target) straight(device, sector int) []stretch {
	to, ok := t.device(device)
	off, isNumber := t.sector(sector)
	if !ok || !isNumber {
		return nil
	}
	return []stretch{{up: span{t.start, t.start + t.length}, to: to, down: span{off, off + t.length}, how: straight}}
}

// stripes are the stretches of a striped target.
func (t target) stripes() []stretch {
	var parts []stretch
	for i := 2; i+1 < len(t.args); i += 2 { // number of stripes, size of their chunks, then where each lies
		each := t.length / int64(len(t.args)/2-1)
		for _, r := range t.straight(i, i+1) {
			r.down.end, r.how = r.down.start+each, scattered
			parts = append(parts, r)
		}
	}
	return parts
}

// device is the argument with index i as a device, if it is one.
func (t target) device(i int) (ID, bool) {
	if i >= len(t.args) {
		return ID{}, false
	}
	num, err := kernel.Parse(t.args[i])
	return DeviceID(num), err == nil
}

// sector is the argument with index i, a number of sectors, in bytes.
func (t target) sector(i int) (int64, bool) {
	if i >= len(t.args) {
		return 0, false
	}
	n, err := strconv.ParseInt(t.args[i], 10, 54)
	return n << 9, err == nil && n >= 0
}
