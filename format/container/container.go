// Package container tells what holds a volume in a form of its own from a raw image: to
// write a volume's blocks into it, or to take its bytes for those of a volume, is a
// mistake.
package container

import (
	"bytes"
	"encoding/binary"
	"io"

	"lvmsync/format/internal/frame"
)

// A Kind is what a file or device holds. The zero Kind is a volume, as far as its
// beginning tells.
type Kind struct {
	Name string // such as "a patch" or "a qcow2 image"
	Ours bool   // it is a patch or a signature
}

// Is tells whether it is anything but a volume.
func (k Kind) Is() bool { return k.Name != "" }

// HeadSize is how many bytes at the beginning of a file or device tell what it is, but for
// a damaged patch.
const HeadSize = 512

// A magic is what the files of a format have in common.
type magic struct {
	name   string
	offset int
	bytes  string
}

// magics are those of the formats that somebody may name in place of a volume: images of
// virtual machines, backups of disks, and what such are packed in.
var magics = []magic{
	{"a qcow2 image", 0, "QFI\xfb"},
	{"a QED image", 0, "QED\x00"},
	{"a VMDK image", 0, "KDMV"},
	{"a VMDK image", 0, "COWD"},
	{"a VMDK descriptor", 0, "# Disk DescriptorFile"},
	{"a VHDX image", 0, "vhdxfile"},
	{"a VHD image", 0, "conectix"},
	{"a VDI image", 64, "\x7f\x10\xda\xbe"},
	{"a Parallels image", 0, "WithoutFreeSpace"},
	{"a Parallels image", 0, "WithouFreSpacExt"},
	{"a Bochs image", 0, "Bochs Virtual HD Image"},
	{"an Android sparse image", 0, "\x3a\xff\x26\xed"},
	{"an EWF image", 0, "EVF\x09\x0d\x0a\xff\x00"},
	{"an EWF image", 0, "EVF2\x0d\x0a\x81\x00"},
	{"a partclone image", 0, "partclone-image"},
	{"a partimage image", 0, "PaRtImAgE-VoLuMe"},
	{"an FSArchiver archive", 0, "FsA0"},
	{"a VMA archive", 0, "VMA\x00"},
	{"a Ceph RBD export", 0, "rbd image v"},
	{"a Ceph RBD export", 0, "rbd diff v"},
	{"a btrfs stream", 0, "btrfs-stream\x00"},
	{"an xfsdump archive", 0, "xFSdump0"},
	{"a zstd file", 0, "\x28\xb5\x2f\xfd"},
	{"a gzip file", 0, "\x1f\x8b\x08"},
	{"an xz file", 0, "\xfd7zXZ\x00"},
	{"a bzip2 file", 4, "1AY&SY"},
	{"an lz4 file", 0, "\x04\x22\x4d\x18"},
	{"an lz4 file", 0, "\x02\x21\x4c\x18"},
	{"an lzip file", 0, "LZIP\x01"},
	{"an lzop file", 0, "\x89LZO\x00\x0d\x0a\x1a\x0a"},
	{"a 7z archive", 0, "7z\xbc\xaf\x27\x1c"},
	{"a zip archive", 0, "PK\x03\x04"},
	{"a RAR archive", 0, "Rar!\x1a\x07"},
	{"a tar archive", 257, "ustar"},
	{"a cpio archive", 0, "070701"},
	{"a cpio archive", 0, "070702"},
	{"a cpio archive", 0, "070707"},
	{"an ar archive", 0, "!<arch>\n"},
	{"a WIM image", 0, "MSWIM\x00\x00\x00"},
	{"an lrzip file", 0, "LRZI"},
	{"an AFF image", 0, "AFF10\x0d\x0a\x00"},
	{"an encrypted file (age)", 0, "age-encryption.org/v"},
	{"an encrypted file (age)", 0, "-----BEGIN AGE ENCRYPTED FILE-----"},
	{"an encrypted file (OpenSSL)", 0, "Salted__"},
	{"an encrypted file (OpenPGP)", 0, "-----BEGIN PGP MESSAGE-----"},
}

// Identify tells what r, of size bytes, holds. What can't be read holds nothing that is
// known.
func Identify(r io.ReaderAt, size int64) Kind {
	head := make([]byte, HeadSize)
	n, _ := r.ReadAt(head, 0)
	if name := ours(head[:n], r, size); name != "" {
		return Kind{Name: name, Ours: true}
	}
	return ofHead(head[:n])
}

// ours tells from its beginning and end whether r is a patch or a signature, be it damaged or
// cut off anywhere else.
func ours(head []byte, r io.ReaderAt, size int64) string {
	head = head[:min(len(head), 16)]
	if len(head) > frame.HeaderSize {
		switch string(head[frame.HeaderSize:]) {
		case frame.PatchMagic:
			return "a patch"
		case frame.SignatureMagic:
			return "a signature"
		}
	}
	switch {
	case len(head) >= 4 && len(head) < 16 &&
		binary.LittleEndian.Uint32(head) == frame.Skippable: // next to nothing is left of it
		return "a patch"
	case frame.Ends(r, size, frame.PatchEndMagic, frame.PatchEndSize):
		return "a patch"
	case frame.Ends(r, size, frame.SignatureEndMagic, frame.SignatureEndSize):
		return "a signature"
	}
	return ""
}

// OfHead tells the same from the beginning only: HeadSize bytes, or as many as there are.
func OfHead(head []byte) Kind { return Identify(bytes.NewReader(head), int64(len(head))) }

func ofHead(head []byte) Kind {
	for _, m := range magics {
		if len(head) >= m.offset && bytes.HasPrefix(head[m.offset:], []byte(m.bytes)) {
			return Kind{Name: m.name}
		}
	}
	if isSkippable(head) { // as pzstd begins its files
		return Kind{Name: "a zstd file"}
	}
	return Kind{}
}

// isSkippable tells whether a skippable zstd frame is there, which may be followed by
// anything.
func isSkippable(head []byte) bool {
	return len(head) >= 8 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18"
}
