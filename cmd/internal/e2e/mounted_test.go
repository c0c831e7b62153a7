package e2e

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A mountedArchive is one that a program has mounted, until the test ends.
type mountedArchive struct {
	machine
	cmd   *exec.Cmd
	point string
	ended chan struct{}

	mu    sync.Mutex
	lines []string // of its standard error
	more  chan struct{}
}

// soon is how long whatever must happen may take.
const soon = 2 * time.Minute

// mountArchive runs lvmsync-patch mount with the arguments and a mount point, until it is ready.
func (m machine) mountArchive(args ...string) *mountedArchive {
	m.Helper()
	return m.mountBy("lvmsync-patch", append([]string{"mount"}, args...)...)
}

// mountBy runs a program that becomes lvmsync-patch mount, with the arguments and a mount point.
func (m machine) mountBy(program string, args ...string) *mountedArchive {
	m.Helper()
	a := &mountedArchive{machine: m, point: m.TempDir() + "/mnt", ended: make(chan struct{}),
		more: make(chan struct{}, 1)}
	m.sh("mkdir", a.point)
	a.cmd = exec.Command(program, append(args, a.point)...)
	stderr, err := a.cmd.StderrPipe()
	if err != nil {
		m.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		m.Fatal(err)
	}
	go func() {
		for in := bufio.NewScanner(stderr); in.Scan(); {
			a.mu.Lock()
			a.lines = append(a.lines, in.Text())
			a.mu.Unlock()
			select {
			case a.more <- struct{}{}:
			default:
			}
		}
		_ = a.cmd.Wait() // ProcessState tells
		close(a.ended)
	}()
	m.Cleanup(a.stop)
	a.says("to be read in " + a.point)
	return a
}

// says waits for a line with that text.
func (a *mountedArchive) says(text string) {
	a.Helper()
	late := time.After(soon)
	for {
		a.mu.Lock()
		lines := slices.Clone(a.lines)
		a.mu.Unlock()
		if strings.Contains(strings.Join(lines, "\n"), text) {
			return
		}
		select {
		case <-a.more:
		case <-a.ended:
			a.Fatalf("no %q in %q", text, lines)
		case <-late:
			a.Fatalf("no %q yet, in %q", text, lines)
		}
	}
}

func (a *mountedArchive) signal() {
	a.Helper()
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		a.Error(err)
	}
}

// wantEnd waits for its end, with that status.
func (a *mountedArchive) wantEnd(status int) {
	a.Helper()
	select {
	case <-a.ended:
		if got := a.cmd.ProcessState.ExitCode(); got != status {
			a.Errorf("status %d, want %d: %q", got, status, a.lines)
		}
	case <-time.After(soon):
		a.Errorf("it has not ended: %q", a.lines)
	}
}

// stop ends it, whoever uses it: a program is never killed while somebody may wait for it, for a
// third signal ends the connection.
func (a *mountedArchive) stop() {
	for range 3 {
		_ = a.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-a.ended:
			_ = exec.Command("umount", "--lazy", "--quiet", a.point).Run() // or it would be left
			return
		case <-time.After(soon / 4):
		}
	}
	a.Error("it goes on")
}

// states are the files, the oldest first.
func (a *mountedArchive) states(want int) []string {
	a.Helper()
	files, err := filepath.Glob(a.point + "/*.img")
	if err != nil || len(files) != want {
		a.Fatalf("states %q, want %d; %v", files, want, err)
	}
	return files
}
