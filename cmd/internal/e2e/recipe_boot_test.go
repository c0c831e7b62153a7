package e2e

import (
	"path/filepath"
	"testing"
)

// A boot sector that writes to its disk, reads that back, tells it by the serial port, and resets.
var bootSector = []byte{
	0x31, 0xc0, 0x8e, 0xc0, 0x8e, 0xd8, //       xor ax,ax; mov es,ax; mov ds,ax
	0xbb, 0x00, 0x7c, 0xb9, 0x02, 0x00, //       mov bx,0x7c00; mov cx,2
	0x30, 0xf6, 0xb8, 0x01, 0x03, 0xcd, 0x13, // xor dh,dh; mov ax,0x0301; int 0x13
	0xbb, 0x00, 0x7e, 0xb8, 0x01, 0x02, //       mov bx,0x7e00; mov ax,0x0201
	0xcd, 0x13, 0xa0, 0x00, 0x7f, //             int 0x13; mov al,[0x7f00]
	0xba, 0xf8, 0x03, 0xee, //                   mov dx,0x3f8; out dx,al
	0xb0, 0xfe, 0xe6, 0x64, 0xf4, //             mov al,0xfe; out 0x64,al; hlt
}

// A machine boots from a backup, and finds what it writes, which the backup does not get.
func TestRecipeBoot(t *testing.T) {
	m := asRoot(t)
	b := &bench{machine: m, dir: t.TempDir()}
	image := b.noise("disk.img", 4, 4*mib)
	a := newDiskArchive(m, image, func() {
		sector := make([]byte, 1024)
		copy(sector, bootSector)
		copy(sector[256:], "W")
		copy(sector[510:], "\x55\xaa")
		disk := mustRead(t, image)
		copy(disk, sector)
		mustWrite(t, image, disk)
	})
	serial := filepath.Join(t.TempDir(), "serial")
	options := []string{"-m", "64M", "-display", "none", "-no-reboot", "-serial", "file:" + serial}
	a.recipe(0, "", "with-state", append([]string{a.folder, "boot"}, options...)...)
	if got := string(mustRead(t, serial)); got != "W" {
		t.Errorf("the machine read %q", got)
	}
	a.unchanged()
}
