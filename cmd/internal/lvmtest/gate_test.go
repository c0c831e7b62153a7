//go:build lvm

package lvmtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A gate is a folder with a program that stops at a command until it is let on.
type gate struct {
	bin     string
	begun   *os.File // where the number of the process that has stopped comes, or that none will
	on      *os.File // where it waits
	cmd     *running
	stopped int // a descriptor of the process that has stopped at it, which may outlive the program
}

// newGate makes one for the commands of a tool that have a word. Script says what is done there,
// with the true one in $real: it stops where it says "stop", the first time.
func newGate(t *testing.T, tool, word, script string) *gate {
	t.Helper()
	real, err := exec.LookPath(tool)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{bin: t.TempDir(), stopped: -1}
	g.begun, g.on = newFifo(t, filepath.Join(g.bin, "begun")),
		newFifo(t, filepath.Join(g.bin, "go"))
	t.Cleanup(func() { g.letGo(t) })
	text := fmt.Sprintf(`#!/bin/bash
real=%s d=${0%%/*}
stop() { ! mkdir "$d/once" 2>/dev/null || { echo $$ >"$d/begun"; read <"$d/go"; }; }
case " $* " in *" %s "*) %s ;; esac
exec "$real" "$@"
`, real, word, script)
	if err := os.WriteFile(filepath.Join(g.bin, tool), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return g
}

// newFifo makes one that is open for both: nobody who opens it waits for another, and it never
// ends.
func newFifo(t *testing.T, path string) *os.File {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// letGo leaves nobody stopped, who may have a lock that others wait for, however the test ends.
func (g *gate) letGo(t *testing.T) {
	g.open(t)
	if g.stopped >= 0 {
		_ = unix.PidfdSendSignal(g.stopped, unix.SIGKILL, nil, 0) // it has ended, most often
		unix.Close(g.stopped)
	}
}

// start starts a program in a process group of its own, as a shell does, and waits until the gate's
// command has come.
func (g *gate) start(t *testing.T, name string,
	args ...string) (cmd *running, stderr *bytes.Buffer) {
	t.Helper()
	c := withPath(g.bin, name, args...)
	stderr = new(bytes.Buffer)
	c.Stderr = stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd = start(t, c)
	g.await(t, cmd)
	return cmd, stderr
}

// await waits until the gate's command has come, and fails if the program ends before.
func (g *gate) await(t *testing.T, cmd *running) {
	t.Helper()
	go func() {
		<-cmd.ended
		_, _ = g.begun.WriteString("the program has ended\n") // nobody may be interested any more
	}()
	line, err := bufio.NewReader(g.begun).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	g.stopped, err = unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) { // it was quicker
		g.stopped, err = -1, nil
	}
	if err != nil {
		t.Fatal(err)
	}
}

// gone waits until the command has ended.
func (g *gate) gone(t *testing.T) {
	t.Helper()
	if g.stopped < 0 {
		return
	}
	limit := int(commandLimit.Milliseconds())
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(g.stopped), Events: unix.POLLIN}}, limit)
	switch {
	case errors.Is(err, unix.EINTR):
		g.gone(t)
	case err != nil:
		t.Fatal(err)
	case n == 0:
		hangs(t, "what has stopped at the gate")
	}
}

func (g *gate) open(t *testing.T) {
	t.Helper()
	if _, err := g.on.WriteString("\n"); err != nil {
		t.Error(err)
	}
}

// A blow is a signal, to the program or to its group, as a terminal sends it.
type blow struct {
	signal syscall.Signal
	group  bool
}

func (b blow) String() string { return fmt.Sprintf("%v, group %v", b.signal, b.group) }

func (b blow) strike(t *testing.T, cmd *running) {
	t.Helper()
	pid := cmd.Process.Pid
	if b.group {
		pid = -pid
	}
	if err := syscall.Kill(pid, b.signal); err != nil {
		t.Fatal(err)
	}
}

// terminal is Ctrl-C, kill is the end.
var (
	terminal = blow{syscall.SIGINT, true}
	kill     = blow{syscall.SIGKILL, true}
)

// struck strikes a program that has stopped at the gate, which then opens, and waits for the end of
// both.
func (g *gate) struck(t *testing.T, cmd *running, b blow) {
	t.Helper()
	b.strike(t, cmd)
	if b.signal == syscall.SIGKILL {
		cmd.Wait()
	}
	g.open(t)
	cmd.Wait()
	g.gone(t)
}

// children are the numbers of a process's children.
func children(t *testing.T, pid int) []int {
	t.Helper()
	// of each thread its own
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, n)
		}
	}
	return pids
}
