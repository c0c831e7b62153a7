package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// onto writes a patch to a new loop device of that size that held other things before.
func (b *bench) onto(patch []byte, size int) (dev string) {
	b.Helper()
	disk := filepath.Join(b.T.TempDir(), "disk")
	if err := os.Rename(b.noise("new disk", 9, size), disk); err != nil {
		b.Fatal(err)
	}
	dev, _ = b.loop(disk)
	f, err := os.OpenFile(dev, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(patch); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	return dev
}

// all wants the same of whatever reads a patch: that it's right, or that it isn't, before anything
// is written.
func (b *bench) all(name, patch string, status int, message string) {
	b.Helper()
	b.Log(name)
	before := mustRead(b.T, b.image)
	for _, args := range [][]string{{"lvmsync-patch", "info", patch},
		{"lvmsync-patch", "verify", patch},
		{"lvmsync-apply", "-n", patch, b.image}, {"lvmsync-apply", patch, b.image}} {
		wantRun(b.T, status, message, args[0], args[1:]...)
		if status != 0 && !bytes.Equal(mustRead(b.T, b.image), before) {
			b.Fatalf("%s: the destination has changed", name)
		}
	}
}

// A patch on a block device ends at its trailer, whatever the device held before; it's verified
// before anything is written.
func TestPatchOnDevice(t *testing.T) {
	b := newBench(t)
	full, want := mustRead(t, b.full), mustRead(t, filepath.Join(b.dir, "elsewhere"))
	dev := b.onto(full, 12*mib)
	b.all("whole", dev, 0, "")
	if !bytes.Equal(mustRead(t, b.image), want) {
		t.Error("the destination holds something else")
	}
	for name, edit := range map[string]func() []byte{
		"flipped": func() []byte { f := slices.Clone(full); f[len(f)/2] ^= 1; return f },
		"cut":     func() []byte { return full[:len(full)-80] },
		"another": func() []byte { return slices.Concat(full, full) },
	} {
		b.all(name, b.onto(edit(), 12*mib), 4, "error: ")
	}

	// From standard input, from the end of the device, and by dump itself.
	b.image = b.noise("image", 1, 4*mib)
	f, err := os.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if status, messages := run(t, f, "lvmsync-apply", b.image); status != 0 ||
		!bytes.Equal(mustRead(t, b.image), want) {
		t.Errorf("standard input: status %d: %s", status, messages)
	}
	b.image = b.noise("image", 1, 4*mib)
	exact := append(slices.Clone(full), make([]byte, 512-len(full)%512)...)
	b.all("padded, to the last sector", b.onto(exact, len(exact)), 0, "")
	b.sh("sh", "-c", `lvmsync-dump --full "$1" >"$2"`, "sh", filepath.Join(b.dir, "elsewhere"), dev)
	b.all("by dump", dev, 0, "")
}

// Several patches on devices, and one that takes them back.
func TestChainOnDevices(t *testing.T) {
	b := newBench(t)
	before := mustRead(t, b.image)
	next := b.noise("elsewhere2", 3, 4*mib)
	delta := filepath.Join(b.dir, "delta")
	b.sh("lvmsync-dump", "--base", filepath.Join(b.dir, "elsewhere"), next, "-o", delta)
	undo := filepath.Join(b.dir, "undo")
	one, two := b.onto(mustRead(t, b.full), 12*mib), b.onto(mustRead(t, delta), 16*mib)
	for _, args := range [][]string{{"lvmsync-patch", "verify", one, two},
		{"lvmsync-apply", "--undo", undo, one, two, b.image}} {
		b.sh(args[0], args[1:]...)
	}
	after := mustRead(t, next)
	if !bytes.Equal(mustRead(t, b.image), after) {
		t.Fatal("the chain led to something else")
	}
	whole := mustRead(t, undo)
	b.all("undo, whose end was not copied", b.onto(whole[:len(whole)-80], 12*mib), 4, "error: ")
	b.all("undo, most of which was not copied", b.onto(whole[:len(whole)/3], 5*mib), 4, "error: ")
	if !bytes.Equal(mustRead(t, b.image), after) {
		t.Fatal("a broken undo patch has changed it")
	}
	b.all("undo", b.onto(whole, 13*mib), 0, "")
	if !bytes.Equal(mustRead(t, b.image), before) {
		t.Error("the undo patch took it somewhere else")
	}
}

// Zeros behind a patch, as a tape has them, are none of it: for a file and for a pipe.
func TestPaddedPatch(t *testing.T) {
	b := newBench(t)
	full, want := mustRead(t, b.full), mustRead(t, filepath.Join(b.dir, "elsewhere"))
	padded := filepath.Join(b.dir, "padded")
	mustWrite(t, padded, append(full, make([]byte, 64<<10-len(full)%(64<<10))...))
	b.all("file", padded, 0, "")
	if !bytes.Equal(mustRead(t, b.image), want) {
		t.Error("from a file: the destination holds something else")
	}
	b.image = b.noise("image", 1, 4*mib)
	for _, args := range [][]string{{"lvmsync-patch", "info"}, {"lvmsync-patch", "verify"},
		{"lvmsync-apply", b.image}} {
		if status, messages := run(t, bytes.NewReader(mustRead(t, padded)), args[0],
			args[1:]...); status != 0 {
			t.Errorf("%s: status %d: %s", args, status, messages)
		}
	}
	if !bytes.Equal(mustRead(t, b.image), want) {
		t.Error("from a pipe: the destination holds something else")
	}
	mustWrite(t, padded, append(mustRead(t, padded), full...))
	b.all("two patches", padded, 4, "bytes follow the trailer")
}

// A signature on a block device is as good as one in a file.
func TestSignatureOnDevice(t *testing.T) {
	b := newBench(t)
	sig, patch := filepath.Join(b.dir, "sig"), filepath.Join(b.dir, "patch")
	b.sh("lvmsync-patch", "signature", b.image, "-o", sig)
	dev := b.onto(mustRead(t, sig), mib)
	elsewhere := filepath.Join(b.dir, "elsewhere")
	for _, signature := range []string{dev, "-"} {
		f, err := os.Open(dev)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if status, messages := run(t, f, "lvmsync-dump", "--signature", signature, elsewhere, "-o",
			patch); status != 0 {
			t.Fatalf("%s: status %d: %s", signature, status, messages)
		}
		b.all(signature, patch, 0, "")
		if !bytes.Equal(mustRead(t, b.image), mustRead(t, elsewhere)) {
			t.Error("the patch leads to something else")
		}
		b.image = b.noise("image", 1, 4*mib)
	}
	cut := mustRead(t, sig)
	status, messages := run(t, nil, "lvmsync-dump", "--signature", b.onto(cut[:len(cut)-10], mib),
		elsewhere)
	if status == 0 || !strings.Contains(messages, "signature is ") {
		t.Errorf("cut: status %d: %s", status, messages)
	}
}

// A patch that lies on the destination, by whatever name, is not overwritten.
func TestPatchOnDestination(t *testing.T) {
	b := newBench(t)
	disk, _ := b.loop(b.noise("disk", 9, 12*mib))
	b.partition(disk, 1, mib, 10*mib)
	b.sh("dd", "status=none", "conv=fsync", "if="+b.full, "of="+disk+"p1")
	for dest, patch := range map[string]string{disk: disk + "p1",
		filepath.Join(b.dir, "disk"): disk + "p1"} {
		b.apply(2, "lies on ", "--force", patch, dest)
	}
}

// Whoever reads a device for a volume that has a patch is told so.
func TestPatchOnDeviceAsVolume(t *testing.T) {
	b := newBench(t)
	dev := b.onto(mustRead(t, b.full), 8*mib)
	const told = " is a patch, not a raw image"
	for _, args := range [][]string{
		{"lvmsync-patch", "signature", dev, "-o", filepath.Join(t.TempDir(), "out")},
		{"lvmsync-dump", "-n", "--base", dev, b.image},
	} {
		wantRun(t, 0, "warning: "+dev+told, args[0], args[1:]...)
	}
}
