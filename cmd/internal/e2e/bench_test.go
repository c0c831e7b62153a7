package e2e

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

const mib = 1 << 20

// A bench is an image file of 4 MiB of noise, and patches of that size that are about something
// else.
type bench struct {
	machine
	dir, image  string
	full, delta string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{machine: asRoot(t), dir: t.TempDir()}
	b.image = b.noise("image", 1, 4*mib)
	b.full, b.delta = b.dump(b.noise("elsewhere", 2, 4*mib))
	return b
}

// noise makes a file of random bytes.
func (b *bench) noise(name string, seed byte, size int) string {
	b.Helper()
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(content)
	path := filepath.Join(b.dir, name)
	mustWrite(b.T, path, content)
	return path
}

// dump makes a full patch of a device or file, and a delta that makes zeros what it holds.
func (b *bench) dump(source string) (full, delta string) {
	b.Helper()
	full, delta = filepath.Join(b.T.TempDir(), "full"), filepath.Join(b.T.TempDir(), "delta")
	zeros := filepath.Join(b.T.TempDir(), "zeros")
	b.sh("sh", "-c", `size=$(blockdev --getsize64 "$1" 2>/dev/null || stat -c %s "$1")
head -c "$size" /dev/zero >"$2"`, "sh", source, zeros)
	for _, args := range [][]string{{"--full", source, "-o", full},
		{"--base", zeros, source, "-o", delta}} {
		b.sh("lvmsync-dump", args...)
	}
	return full, delta
}

// apply applies a patch and wants that status and message; a destination that is refused must be as
// it was.
func (b *bench) apply(status int, message string, args ...string) {
	b.Helper()
	dest := args[len(args)-1]
	before := mustRead(b.T, dest)
	wantRun(b.T, status, message, "lvmsync-apply", args...)
	if status != 0 && !bytes.Equal(before, mustRead(b.T, dest)) {
		b.Errorf("%s has changed", dest)
	}
}
