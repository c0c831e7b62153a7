//go:build lvm

package lvmtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lvmsync/cmd/internal/applycmd"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/dumpcmd"
	"lvmsync/cmd/internal/patchcmd"
	"lvmsync/dump/blockdev"
)

// TestMain makes the programs available under their names: the test binary runs
// itself again.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"lvmsync-dump":  func() { os.Exit(dumpcmd.Main(os.Args, cli.StdStreams())) },
		"lvmsync-apply": func() { os.Exit(applycmd.Main(os.Args, cli.StdStreams())) },
		"lvmsync-patch": func() { os.Exit(patchcmd.Main(os.Args, cli.StdStreams())) },
	})
}

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
)

// disks are the scratch disks of the guest.
func disks(t *testing.T, n int) []string {
	t.Helper()
	d := strings.Fields(os.Getenv("LVMSYNC_TEST_DISKS"))
	if len(d) < n {
		t.Fatalf("LVMSYNC_TEST_DISKS names %d disks, %d needed", len(d), n)
	}
	return d[:n]
}

// newVG makes a volume group on the first n scratch disks, with extents of 4 KiB
// so that volumes can have odd sizes. It's gone when the test ends.
func newVG(t *testing.T, name string, n int) string {
	t.Helper()
	d := disks(t, n)
	sh(t, "vgcreate", append([]string{"-qq", "-y", "-s", "4k", name}, d...)...)
	t.Cleanup(func() {
		sh(t, "vgremove", "-qq", "-ff", "-y", name)
		sh(t, "pvremove", append([]string{"-qq", "-ff", "-y"}, d...)...)
	})
	return name
}

// sh runs a command that must succeed and returns its standard output.
func sh(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// A result is what a program gave.
type result struct {
	status         int
	stdout, stderr string
}

// run runs one of the programs, or another command whose status is of interest.
func run(t *testing.T, stdin io.Reader, name string, args ...string) result {
	t.Helper()
	return runCommand(t, stdin, exec.Command(name, args...))
}

func runCommand(t *testing.T, stdin io.Reader, cmd *exec.Cmd) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	t.Logf("%s: status %d\n%s", strings.Join(cmd.Args, " "), cmd.ProcessState.ExitCode(), errs.String())
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// want checks status and message of a program.
func (r result) want(t *testing.T, status int, message string) {
	t.Helper()
	if r.status != status || !strings.Contains(r.stderr, message) {
		t.Errorf("status %d, want %d with a message with %q; got:\n%s", r.status, status, message, r.stderr)
	}
	if n := strings.Count(r.stderr, ": error: "); status != 0 && n != 1 {
		t.Errorf("%d error lines, want one:\n%s", n, r.stderr)
	}
}

// transfer dumps with the given arguments and applies to dest, both of which must
// succeed. It returns the patch.
func transfer(t *testing.T, dest string, dumpArgs ...string) []byte {
	t.Helper()
	d := run(t, nil, "lvmsync-dump", dumpArgs...)
	d.want(t, 0, "")
	run(t, strings.NewReader(d.stdout), "lvmsync-apply", dest).want(t, 0, "")
	return []byte(d.stdout)
}

// changed is the number of extents and bytes that a dry run of dump announces.
func changed(t *testing.T, dumpArgs ...string) (extents, size int64) {
	t.Helper()
	r := run(t, nil, "lvmsync-dump", append([]string{"--dry-run"}, dumpArgs...)...)
	r.want(t, 0, "")
	_, rest, _ := strings.Cut(r.stdout, ": ")
	if _, err := fmt.Sscanf(rest, "%d extents, %d bytes", &extents, &size); err != nil {
		t.Fatalf("dry run says %q: %v", r.stdout, err)
	}
	return extents, size
}

// device opens a device for reading past the page cache. Who calls it closes it: LVM removes no volume that is open.
func device(t *testing.T, path string) *blockdev.File {
	t.Helper()
	f, err := blockdev.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sum is a SHA-256 of the first size bytes of a device, all of it if size is 0,
// read past the page cache. Blocks of zeros are left out, as hashing is slow
// under emulation; all others go in with their offset.
func sum(t *testing.T, path string, size int64) string {
	t.Helper()
	const block = 4096
	f := device(t, path)
	defer f.Close()
	if size == 0 {
		size = f.Size()
	}
	h := sha256.New()
	var zeros [block]byte
	buf := blockdev.AlignedBuffer(1 << 20)
	for off := int64(0); off < size; off += int64(len(buf)) {
		n := min(int64(len(buf)), size-off)
		if _, err := f.ReadAt(buf[:n], off); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		for i := int64(0); i < n; i += block {
			if b := buf[i:min(i+block, n)]; !bytes.Equal(b, zeros[:len(b)]) {
				h.Write(binary.LittleEndian.AppendUint64(nil, uint64(off+i)))
				h.Write(b)
			}
		}
	}
	fmt.Fprint(h, size)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// wantSame compares destination and origin by SHA-256.
func wantSame(t *testing.T, origin, dest string) {
	t.Helper()
	size := size(t, origin)
	if want, got := sum(t, origin, size), sum(t, dest, size); got != want {
		t.Errorf("%s and %s differ: %s, %s", origin, dest, want, got)
	}
}

// size is the size of a device in bytes.
func size(t *testing.T, path string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.TrimSpace(sh(t, "blockdev", "--getsize64", path)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fill writes random bytes to all of a device, and flushes them.
func fill(t *testing.T, path string, seed byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.NewChaCha8([32]byte{seed})
	_, err = io.CopyN(f, rnd, size(t, path))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// poke writes 512 random bytes at each offset, and flushes them.
func poke(t *testing.T, path string, seed byte, offsets ...int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.NewChaCha8([32]byte{seed, 1})
	b := make([]byte, 512)
	for _, off := range offsets {
		rnd.Read(b)
		if _, err := f.WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// overflow writes all of the origin, for which the COW store has no room. The
// origin takes it: it is the snapshot that becomes invalid.
func overflow(t *testing.T, origin string) {
	t.Helper()
	fill(t, origin, 99)
}

// file writes a file in the test's own folder and returns its path.
func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wrapDmsetup makes a folder with a dmsetup that is the given script. The true one is in $real, the folder is ${0%/*}.
func wrapDmsetup(t *testing.T, script string) string {
	t.Helper()
	real, err := exec.LookPath("dmsetup")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	script = fmt.Sprintf("#!/bin/bash\nreal=%s\n%s\n", real, script)
	if err := os.WriteFile(filepath.Join(bin, "dmsetup"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return bin
}

// withPath is a command that finds what is in a folder first.
func withPath(bin, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	return cmd
}
