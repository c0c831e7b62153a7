package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// waitForPartner waits until a program waits in the kernel for somebody to open the other side of a
// pipe that has a name.
func waitForPartner(t *testing.T, cmd *exec.Cmd, messages *bytes.Buffer) {
	t.Helper()
	for {
		tasks, err := filepath.Glob("/proc/" + fmt.Sprint(cmd.Process.Pid) + "/task/*/wchan")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if b, err := os.ReadFile(task); err == nil &&
				strings.Contains(string(b), "wait_for_partner") {
				return
			}
		}
		if b, err := os.ReadFile("/proc/" + fmt.Sprint(cmd.Process.Pid) + "/stat"); err != nil ||
			strings.Contains(string(b), ") Z ") {
			cmd.Wait()
			t.Fatalf("%v has ended: %s", cmd.Args, messages)
		}
	}
}

// Whatever reads a file that the user names can be interrupted while that is a pipe which nobody
// has begun to write to.
func TestPipeWithoutWriter(t *testing.T) {
	dir := t.TempDir()
	fifo, disk, patch := filepath.Join(dir, "fifo"), filepath.Join(dir, "disk.img"),
		filepath.Join(dir, "disk.lvmpatch")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	before := bytes.Repeat([]byte("x"), 1<<20)
	mustWrite(t, disk, before)
	if status, messages := run(t, nil, "lvmsync-dump", "-q", "--full", disk, "-o",
		patch); status != 0 {
		t.Fatal(messages)
	}
	for _, args := range [][]string{
		{"lvmsync-apply", fifo, disk},
		{"lvmsync-apply", "--spool", dir, fifo, disk},
		{"lvmsync-apply", patch, fifo, disk},
		{"lvmsync-patch", "info", fifo},
		{"lvmsync-patch", "verify", fifo},
		{"lvmsync-patch", "verify", patch, fifo},
		{"lvmsync-dump", "--signature", fifo, disk, "-o", filepath.Join(dir, "new")},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
				// it would wait for ever
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, args[0], args[1:]...)
				messages := start(t, cmd)
				waitForPartner(t, cmd, messages)
				if err := cmd.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
				cmd.Wait()
				if got := cmd.ProcessState.ExitCode(); got != 1 ||
					!strings.Contains(messages.String(), "fifo: interrupted\n") {
					t.Errorf("status %d: %s", got, messages)
				}
				wantOneError(t, args[0], messages.String())
			}
		})
	}
	if !bytes.Equal(mustRead(t, disk), before) {
		t.Error("the destination has changed")
	}
	// What must be a device or a file is refused without opening it.
	for _, args := range [][]string{
		{"lvmsync-dump", "--full", fifo},
		{"lvmsync-dump", "--base", fifo, disk},
		{"lvmsync-dump", "--base", disk, fifo},
		{"lvmsync-dump", "--cow", fifo, disk},
		{"lvmsync-dump", "--cow", disk, fifo},
		{"lvmsync-dump", "--full", disk, "-o", fifo},
		{"lvmsync-dump", fifo},
		{"lvmsync-patch", "signature", fifo},
		{"lvmsync-patch", "signature", disk, "-o", fifo},
		{"lvmsync-apply", patch, fifo},
		{"lvmsync-apply", "--undo", fifo, patch, disk},
		{"lvmsync-apply", "--spool", fifo, "-", disk},
	} {
		status, messages := run(t, nil, args[0], args[1:]...)
		if status == 0 || status == 3 {
			t.Errorf("%v: status %d: %s", args, status, messages)
		}
		wantOneError(t, args[0], messages)
	}
}
