package dmtable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/kernel"
)

// Sizes in bytes of what the kernel's answer has before the targets, and before the text of each.
const (
	headerSize = unix.SizeofDmIoctl
	specSize   = unix.SizeofDmTargetSpec
)

// maxAnswer bounds the memory for a table in bytes. One of a million lines has less.
const maxAnswer = 128 << 20

// Read asks the kernel itself for the table of the device with that number, on a machine that needs
// no dmsetup; [kernel.ErrNotDM] if device-mapper has none. Only root may ask.
func Read(num kernel.DevNum) (Table, error) {
	if !num.IsMapped() {
		return nil, fmt.Errorf("device %s: %w", num, kernel.ErrNotDM)
	}
	table, err := read(num)
	if err != nil {
		return nil, fmt.Errorf("ask device-mapper for the table of device %s: %w", num, err)
	}
	return table, nil
}

func read(num kernel.DevNum) (Table, error) {
	control, err := os.OpenFile(filepath.Join(kernel.Dev, "mapper", unix.DM_CONTROL_NODE),
		os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for size := 16 << 10; size <= maxAnswer; size *= 4 {
		table, full, err := readInto(make([]byte, size), control, num)
		if !full || err != nil {
			return table, err
		}
	}
	return nil, errors.New("too long an answer")
}

// readInto reads the table by way of a buffer. It gives true if that had too little room.
func readInto(b []byte, control *os.File, num kernel.DevNum) (t Table, full bool, err error) {
	defer clear(b) // it may hold the key of a dm-crypt device, or a part of it
	if full, err = status(b, control, num); full || err != nil {
		return nil, full, err
	}
	t, err = parseAnswer(b)
	return t, false, err
}

// status does the ioctl, and puts the answer into b.
func status(b []byte, control *os.File, num kernel.DevNum) (full bool, err error) {
	head := (*unix.DmIoctl)(unsafe.Pointer(unsafe.SliceData(b)))
	*head = unix.DmIoctl{
		Version:   [3]uint32{4, 0, 0}, // of 2005: all kernels know it
		Data_size: uint32(len(b)), Data_start: headerSize, Dev: unix.Mkdev(num.Major, num.Minor),
		Flags: unix.DM_STATUS_TABLE_FLAG | unix.DM_SECURE_DATA_FLAG,
	}
	err = kernel.Control(control, func(fd int) error {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.DM_TABLE_STATUS,
			uintptr(unsafe.Pointer(head)))
		switch errno {
		case 0:
			return nil
		case unix.ENXIO:
			return kernel.ErrNotDM
		}
		return errno
	})
	return head.Flags&unix.DM_BUFFER_FULL_FLAG != 0, err
}

var errAnswer = errors.New("the answer of device-mapper makes no sense")

// parseAnswer reads what the kernel has answered: a header, then for each target a fixed part and a
// text that ends with 0.
func parseAnswer(b []byte) (Table, error) {
	if len(b) < headerSize {
		return nil, errAnswer
	}
	order := binary.NativeEndian
	start, count := uint64(order.Uint32(b[16:])), order.Uint32(b[20:])
	if start > uint64(len(b)) {
		return nil, errAnswer
	}
	specs := b[start:]
	var text strings.Builder
	for at := uint64(0); count > 0; count-- {
		if at+specSize > uint64(len(specs)) {
			return nil, errAnswer
		}
		spec := specs[at:]
		args, _, ended := bytes.Cut(spec[specSize:], []byte{0})
		kind, _, _ := bytes.Cut(spec[24:specSize], []byte{0})
		if !ended || bytes.ContainsAny(args, "\n") {
			return nil, errAnswer
		}
		fmt.Fprintf(&text, "%d %d %s %s\n", order.Uint64(spec), order.Uint64(spec[8:]), kind, args)
		next := uint64(order.Uint32(spec[20:])) // from the beginning of all of them
		if count > 1 && next <= at {
			return nil, errAnswer
		}
		at = next
	}
	return Parse(text.String())
}
