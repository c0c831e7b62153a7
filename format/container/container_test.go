package container

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"lvmsync/format"
)

// at puts bytes at an offset of a file of 4 KiB.
func at(off int, text string) []byte {
	b := make([]byte, 4096)
	copy(b[off:], text)
	return b
}

// noise is size random bytes.
func noise(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestIdentify(t *testing.T) {
	for name, tt := range map[string]struct {
		content []byte
		want    string
	}{
		"qcow2":            {at(0, "QFI\xfb\x00\x00\x00\x03"), "a qcow2 image"},
		"QED":              {at(0, "QED\x00"), "a QED image"},
		"VMDK, sparse":     {at(0, "KDMV\x01"), "a VMDK image"},
		"VMDK, of ESX":     {at(0, "COWD"), "a VMDK image"},
		"VMDK, descriptor": {[]byte("# Disk DescriptorFile\nversion=1\n"), "a VMDK descriptor"},
		"VHDX":             {at(0, "vhdxfile"), "a VHDX image"},
		"VHD":              {at(0, "conectix"), "a VHD image"},
		"VDI": {append([]byte("<<< Oracle VM VirtualBox Disk Image >>>\n"),
			at(24, "\x7f\x10\xda\xbe")...), "a VDI image"},
		"Parallels":          {at(0, "WithouFreSpacExt"), "a Parallels image"},
		"RBD diff":           {[]byte("rbd diff v1\n"), "a Ceph RBD export"},
		"patch, its magic":   {at(0, "\x5d\x2a\x4d\x18....LVMPATCH"), "a patch"},
		"patch, cut off":     {[]byte("\x5d\x2a\x4d\x18...."), "a patch"},
		"patch, flipped bit": {at(0, "\x5d\x2a\x4d\x19....LVMPATCH"), "a patch"},
		"signature":          {at(0, "\x5d\x2a\x4d\x18....LVMSIGNT"), "a signature"},
		"end of a signature": {append(noise(4096),
			append([]byte("\x5d\x2a\x4d\x18....LVMSIGND"), make([]byte, 40)...)...), "a signature"},
		"cpio": {at(0, "070701"), "a cpio archive"},
		"age":  {at(0, "age-encryption.org/v1\n"), "an encrypted file (age)"},
		"OpenPGP, armoured": {at(0, "-----BEGIN PGP MESSAGE-----\n"),
			"an encrypted file (OpenPGP)"},
		"other skippable": {at(0, "\x50\x2a\x4d\x18\x04\x00\x00\x00"), "a zstd file"},

		"nothing":              {nil, ""},
		"zeros":                {at(0, ""), ""},
		"noise":                {noise(1 << 20), ""},
		"one byte":             {[]byte("Q"), ""},
		"half of a magic":      {[]byte("QF"), ""},
		"magic further on":     {at(1, "QFI\xfb"), ""},
		"boot sector":          {at(510, "\x55\xaa"), ""},
		"LUKS":                 {at(0, "LUKS\xba\xbe\x00\x02"), ""},
		"physical volume":      {at(512, "LABELONE"), ""},
		"XFS":                  {at(0, "XFSB"), ""},
		"NTFS":                 {at(0, "\xeb\x52\x90NTFS    \x00\x55\xaa"), ""},
		"squashfs":             {at(0, "hsqs"), ""},
		"fixed VHD, as is raw": {append(at(0, ""), "conectix"...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := Identify(bytes.NewReader(tt.content), int64(len(tt.content)))
			if k.Name != tt.want || k.Is() != (tt.want != "") ||
				k.Ours != (tt.want == "a patch" || tt.want == "a signature") {
				t.Errorf("%+v, want %q", k, tt.want)
			}
		})
	}
}

// What the programs make that people pack images with.
func TestPacked(t *testing.T) {
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(disk, noise(100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, script := range map[string]string{
		"a zstd file":   "zstd -q -c disk.img",
		"a gzip file":   "gzip -c disk.img",
		"an xz file":    "xz -c disk.img",
		"a bzip2 file":  "bzip2 -c disk.img",
		"an lz4 file":   "lz4 -q -c disk.img",
		"a tar archive": "tar c disk.img",
		"a zip archive": "zip -q - disk.img",
	} {
		t.Run(want, func(t *testing.T) {
			cmd := exec.Command("bash", "-c", script)
			cmd.Dir = dir
			packed, err := cmd.Output()
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == 127 {
				t.Skip("not installed: " + script)
			}
			if err != nil {
				t.Fatal(err)
			}
			if k := Identify(bytes.NewReader(packed), int64(len(packed))); k.Name != want {
				t.Errorf("%s: %+v", script, k)
			}
		})
	}
}

// A patch is one whatever is left of it: its beginning or its end.
func TestPatch(t *testing.T) {
	var out bytes.Buffer
	w, err := format.NewWriter(&out, format.Header{ID: uuid.New(), Kind: format.Undo,
		VolumeSize: 1 << 20, Granularity: 512}, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole := out.Bytes()
	lost := append(noise(100), whole[100:]...)
	for _, b := range [][]byte{whole, whole[:len(whole)-1], whole[:16], whole[:5], lost} {
		if k := Identify(bytes.NewReader(b), int64(len(b))); !k.Ours || k.Name != "a patch" {
			t.Errorf("%d bytes: %+v", len(b), k)
		}
	}
}

// The beginning is enough for all but what has lost it.
func TestOfHead(t *testing.T) {
	for _, m := range magics {
		if k := OfHead(at(m.offset, m.bytes)[:HeadSize]); k.Name != m.name {
			t.Errorf("%+v: %+v", m, k)
		}
	}
	if k := OfHead(at(0, "\x5d\x2a\x4d\x18....LVMPATCH")[:HeadSize]); !k.Ours {
		t.Errorf("%+v", k)
	}
}
