package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// signalled ends a program with a signal and checks status and message.
func signalled(t *testing.T, cmd *exec.Cmd, messages *bytes.Buffer, status int, texts ...string) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("status %d, want %d", got, status)
	}
	for _, text := range texts {
		if !strings.Contains(messages.String(), text) {
			t.Errorf("no %q in the message:\n%s", text, messages)
		}
	}
	wantOneError(t, filepath.Base(cmd.Path), messages.String())
}

// A dump whose receiver takes nothing any more still ends when it is told to.
func TestDumpStopped(t *testing.T) {
	cow, origin := makeStore(t, t.TempDir(), 4096)
	cmd := exec.Command("lvmsync-dump", "--cow", cow, origin)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	messages := start(t, cmd)
	if _, err := io.ReadFull(out, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	signalled(t, cmd, messages, 1, "interrupted")
}

// A dump into a file that is broken off leaves what was there, and nothing else.
func TestDumpFileStopped(t *testing.T) {
	dir := t.TempDir()
	source, patch := filepath.Join(dir, "disk.img"), filepath.Join(dir, "disk.lvmpatch")
	mustWrite(t, source, []byte("old"))
	wantRun(t, 0, "", "lvmsync-dump", "--full", source, "-o", patch)
	old := mustRead(t, patch)
	mustWrite(t, source, bytes.Repeat([]byte("what takes long to compress at the highest level; "),
		4<<20))
	cmd := exec.Command("lvmsync-dump", "--level", "19", "--full", source, "-o", patch)
	messages := start(t, cmd)
	names := func() int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	for names() == 2 { // until the unfinished file is there
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Fatalf("the dump has ended: %v\n%s", err, messages)
		}
	}
	signalled(t, cmd, messages, 1, "interrupted")
	if n := names(); n != 2 || !bytes.Equal(mustRead(t, patch), old) {
		t.Errorf("%d files in the folder, want 2, with the old patch untouched", n)
	}
}

// An apply that waits for its sender ends when it is told to, and tells what the destination is
// like.
func TestApplyStopped(t *testing.T) {
	dir := t.TempDir()
	cow, origin := makeStore(t, dir, 4096)
	patch, err := exec.Command("lvmsync-dump", "--level", "0", "--cow", cow, origin).Output()
	if err != nil {
		t.Fatal(err)
	}
	dest := filepath.Join(dir, "disk.img")
	before := make([]byte, 4096*4096)
	for _, test := range []struct {
		name   string
		sent   int
		status int
		texts  []string
	}{
		{"before a whole segment", 1 << 20, 1, []string{"interrupted"}},
		{"half-way", len(patch) / 2, 3, []string{"interrupted",
			"is part-way: the changes before byte ", "hint: "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			mustWrite(t, dest, before)
			cmd := exec.Command("lvmsync-apply", "-v", dest)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			messages := start(t, cmd)
			if _, err := in.Write(patch[:test.sent]); err != nil {
				t.Fatal(err)
			}
			// The program runs, for a pipe holds less before it widens it; wait for the first write
			// where there is one.
			for test.status == 3 && bytes.Equal(mustRead(t, dest), before) {
			}
			signalled(t, cmd, messages, test.status, test.texts...)
			if test.status == 1 && !bytes.Equal(mustRead(t, dest), before) {
				t.Error("the destination has changed")
			}
		})
	}
}

// Where the end of a patch or signature is looked for in a long row of zeros, or what is behind
// that end, a program ends when it is told to.
func TestZerosStopped(t *testing.T) {
	dir := t.TempDir()
	disk, patch, signature := filepath.Join(dir, "disk.img"), filepath.Join(dir, "disk.lvmpatch"),
		filepath.Join(dir, "disk.lvmsig")
	mustWrite(t, disk, bytes.Repeat([]byte("x"), 64<<10))
	wantRun(t, 0, "", "lvmsync-dump", "--full", disk, "-o", patch)
	wantRun(t, 0, "", "lvmsync-patch", "signature", disk, "-o", signature)
	for _, path := range []string{patch, signature} {
		if err := os.Truncate(path, 1<<40); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"lvmsync-patch", "verify", patch},
		{"lvmsync-patch", "verify", patch, patch},
		{"lvmsync-patch", "info", patch},
		{"lvmsync-apply", "-n", patch, disk},
		{"lvmsync-dump", "--signature", signature, disk, "-o", filepath.Join(dir, "new")},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, args[0], args[1:]...)
			messages := start(t, cmd)
			for read := 0; read < 64<<20; { // so much is zeros
				b := mustRead(t, fmt.Sprintf("/proc/%d/io", cmd.Process.Pid))
				if _, err := fmt.Sscanf(string(b), "rchar: %d", &read); err != nil {
					t.Fatalf("the program has ended: %v\n%s", err, messages)
				}
			}
			signalled(t, cmd, messages, 1, "interrupted")
		})
	}
}

// What the system refuses comes as one line with a hint, and leaves nothing behind.
func TestSystemErrors(t *testing.T) {
	asRoot(t) // who may become somebody else, too
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(dir, "disk.img")
	_, origin := makeStore(t, dir, 4096)
	if err := os.Rename(origin, source); err != nil {
		t.Fatal(err)
	}

	t.Run("full disk", func(t *testing.T) {
		small := machine{t}.mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs")
		status, messages := run(t, nil, "lvmsync-dump", "--full", source, "-o",
			filepath.Join(small, "x.lvmpatch"))
		if status != 1 || !strings.Contains(messages, "no space left on device") ||
			!strings.Contains(messages, "hint: free some space") {
			t.Errorf("status %d: %s", status, messages)
		}
		wantOneError(t, "lvmsync-dump", messages)
		if left, err := os.ReadDir(small); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})

	t.Run("no permission", func(t *testing.T) {
		for _, args := range [][]string{
			{"lvmsync-dump", "--full", source},
			{"lvmsync-apply", source, source + "x"},
		} {
			path, err := exec.LookPath(args[0])
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("setpriv",
				append([]string{"--reuid=65534", "--regid=65534", "--clear-groups",
					copyProgram(t, path)}, args[1:]...)...)
			status, messages := runCommand(t, cmd)
			if status != 1 || !strings.Contains(messages, "permission denied") ||
				!strings.Contains(messages, "hint: run as root") {
				t.Errorf("%v: status %d: %s", args, status, messages)
			}
			wantOneError(t, args[0], messages)
		}
	})
}

// copyProgram copies a program, which is in a folder of root's, to where all may run it.
func copyProgram(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "lvmsync-e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	to := filepath.Join(dir, filepath.Base(path))
	if err := errors.Join(os.Chmod(dir, 0o755),
		os.WriteFile(to, mustRead(t, path), 0o755)); err != nil {
		t.Fatal(err)
	}
	return to
}
