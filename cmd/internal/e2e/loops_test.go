package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const mib = 1 << 20

// A bench is an image file of 4 MiB of noise, and patches of that size that are about something else.
type bench struct {
	*testing.T
	dir, image  string
	full, delta string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may make loop devices")
	}
	b := &bench{T: t, dir: t.TempDir()}
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
	if err := os.WriteFile(path, content, 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// dump makes a full patch of a device or file, and a delta that makes zeros what it holds.
func (b *bench) dump(source string) (full, delta string) {
	b.Helper()
	full, delta = filepath.Join(b.T.TempDir(), "full"), filepath.Join(b.T.TempDir(), "delta")
	zeros := filepath.Join(b.T.TempDir(), "zeros")
	b.sh("sh", "-c", `head -c "$(blockdev --getsize64 "$1" 2>/dev/null || stat -c %s "$1")" /dev/zero >"$2"`, "sh", source, zeros)
	for _, args := range [][]string{{"--full", source, "-o", full}, {"--base", zeros, source, "-o", delta}} {
		if status, messages := run(b.T, nil, "lvmsync-dump", args...); status != 0 {
			b.Fatalf("status %d: %s", status, messages)
		}
	}
	return full, delta
}

func (b *bench) sh(name string, args ...string) string {
	b.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		b.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// loop makes a loop device, which ends with the test or when done is called. --partscan lets its partitions go with it, and
// rids it of those that a test that was killed has left: the kernel keeps them otherwise, for whoever gets the device next.
func (b *bench) loop(file string, options ...string) (dev string, done func()) {
	b.Helper()
	dev = b.sh("losetup", append(options, "--find", "--show", "--partscan", file)...)
	ended := false
	done = func() {
		if !ended {
			b.sh("losetup", "--detach", dev)
			ended = true
		}
	}
	b.Cleanup(done)
	return dev, done
}

// partitions makes partitions of 1 MiB each on a loop device.
func (b *bench) partitions(dev string, n int) (done func()) {
	b.Helper()
	for i := range n {
		b.sh("addpart", dev, fmt.Sprint(i+1), fmt.Sprint((i+1)*mib>>9), fmt.Sprint(mib>>9))
	}
	return func() {
		for i := range n {
			b.sh("delpart", dev, fmt.Sprint(i+1))
		}
	}
}

func (b *bench) mount(dev string) string {
	b.Helper()
	b.sh("mkfs.ext4", "-q", "-F", dev)
	dir := b.T.TempDir()
	b.sh("mount", dev, dir)
	b.Cleanup(func() { b.sh("umount", "--lazy", dir) })
	return dir
}

// held opens a file, until the test ends, in another process, which says so.
func (b *bench) held(script, path string) {
	b.Helper()
	b.until(exec.Command("bash", "-c", script+`; echo ready; read end`, "bash", path), path)
}

// unshared does something with a file or device in a mount namespace that lives until the test ends.
func (b *bench) unshared(script, path string) {
	b.Helper()
	b.until(exec.Command("unshare", "--mount", "bash", "-c", script+` && echo ready && read end`, "bash", path), path)
}

// until has a process, which says when it's ready, run until the test ends.
func (b *bench) until(cmd *exec.Cmd, path string) {
	b.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // read fails at the end of input
	})
	if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
		b.Fatalf("the process that holds %s: %v", path, err)
	}
}

// apply applies a patch and wants that status and message; a destination that is refused must be as it was.
func (b *bench) apply(status int, message string, args ...string) {
	b.Helper()
	dest := args[len(args)-1]
	before := mustRead(b.T, dest)
	got, messages := run(b.T, nil, "lvmsync-apply", args...)
	if got != status || !strings.Contains(messages, message) {
		b.Errorf("lvmsync-apply %s: status %d, want %d with %q:\n%s", strings.Join(args, " "), got, status, message, messages)
	}
	if status != 0 && !bytes.Equal(before, mustRead(b.T, dest)) {
		b.Errorf("%s has changed", dest)
	}
}
