package devmapper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"lvmsync/format/storage/kernel"
)

// Of linux/dm-ioctl.h. The header is followed by the answer.
const (
	dmTableStatus   = 0xc138fd0c // _IOWR(0xfd, 12, struct dm_ioctl)
	dmHeader        = 312        // its size
	dmStatusTable   = 1 << 4     // the table, not the status
	dmBufferFull    = 1 << 8
	dmTargetSpec    = 40 // size of what is before the text of each target
	maxTargetsBytes = 16 << 20
)

// KernelTable asks the kernel itself for the table of the device with that number, on a machine that needs no dmsetup;
// [kernel.ErrNotDM] if device-mapper has none. Only root may ask.
func KernelTable(dev kernel.DevNum) (Table, error) {
	if !dev.IsMapped() {
		return nil, fmt.Errorf("device %s: %w", dev, kernel.ErrNotDM)
	}
	control, err := os.OpenFile(filepath.Join(kernel.Dev, "mapper", "control"), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("ask device-mapper for the table of device %s: %w", dev, err)
	}
	defer control.Close()
	for size := 16 << 10; ; size *= 4 {
		b, err := tableStatus(control, dev, size)
		if err != nil {
			return nil, fmt.Errorf("ask device-mapper for the table of device %s: %w", dev, err)
		}
		if binary.NativeEndian.Uint32(b[28:])&dmBufferFull == 0 {
			return parseKernelTable(b)
		}
		if size > maxTargetsBytes {
			return nil, fmt.Errorf("ask device-mapper for the table of device %s: too long an answer", dev)
		}
	}
}

// tableStatus is the request with room for size bytes.
func tableStatus(control *os.File, dev kernel.DevNum, size int) ([]byte, error) {
	b, le := make([]byte, size), binary.NativeEndian
	le.PutUint32(b, 4) // version 4.0.0: all kernels know it
	le.PutUint32(b[12:], uint32(size))
	le.PutUint32(b[16:], dmHeader)
	le.PutUint32(b[28:], dmStatusTable)
	le.PutUint64(b[40:], unix.Mkdev(dev.Major, dev.Minor))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), dmTableStatus, uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	runtime.KeepAlive(b)
	switch errno {
	case 0:
		return b, nil
	case unix.ENXIO:
		return nil, kernel.ErrNotDM
	}
	return nil, errno
}

var errKernelTable = errors.New("the answer of device-mapper makes no sense")

// parseKernelTable reads what the kernel has answered.
func parseKernelTable(b []byte) (Table, error) {
	if len(b) < dmHeader {
		return nil, errKernelTable
	}
	le := binary.NativeEndian
	start, count := uint64(le.Uint32(b[16:])), le.Uint32(b[20:])
	if start > uint64(len(b)) {
		return nil, errKernelTable
	}
	specs := b[start:]
	var text strings.Builder
	for at := uint64(0); count > 0; count-- {
		if at+dmTargetSpec > uint64(len(specs)) {
			return nil, errKernelTable
		}
		spec := specs[at:]
		args, _, ended := bytes.Cut(spec[dmTargetSpec:], []byte{0})
		kind, _, _ := bytes.Cut(spec[24:dmTargetSpec], []byte{0})
		if !ended || bytes.ContainsAny(args, "\n") {
			return nil, errKernelTable
		}
		fmt.Fprintf(&text, "%d %d %s %s\n", le.Uint64(spec), le.Uint64(spec[8:]), kind, args)
		next := uint64(le.Uint32(spec[20:])) // from the beginning of all of them
		if count > 1 && next <= at {
			return nil, errKernelTable
		}
		at = next
	}
	return ParseTable(text.String())
}
