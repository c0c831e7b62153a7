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
	begun   *bufio.Reader
	ended   *os.File // where it is written if the program has ended
	cmd     *exec.Cmd
	stopped int // a descriptor of the process that has stopped at it, which may outlive the program
}

// newGate makes one for the commands of a tool that have a word. Script says what is done there,
// with the true one in $real: it stops where it says "stop".
func newGate(t *testing.T, tool, word, script string) *gate {
	t.Helper()
	real, err := exec.LookPath(tool)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{bin: t.TempDir()}
	for _, fifo := range []string{"begun", "go"} {
		if err := syscall.Mkfifo(filepath.Join(g.bin, fifo), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf(`#!/bin/bash
real=%s d=${0%%/*}
stop() { echo $$ >"$d/begun"; read <"$d/go"; }
case " $* " in *" %s "*) %s ;; esac
exec "$real" "$@"
`, real, word, script)
	if err := os.WriteFile(filepath.Join(g.bin, tool), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	// for writing, too: so it never ends
	f, err := os.OpenFile(filepath.Join(g.bin, "begun"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	g.begun, g.ended = bufio.NewReader(f), f
	return g
}

// start starts a program in a process group of its own, as a shell does, and waits until the gate's
// command has come.
func (g *gate) start(t *testing.T, name string,
	args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	cmd, stderr = withPath(g.bin, name, args...), new(bytes.Buffer)
	cmd.Stderr = stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.watch(t, cmd)
	g.await(t)
	return cmd, stderr
}

// watch has await fail if a program ends before the gate's command has come.
func (g *gate) watch(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		awaitEnd(fd)
		_, _ = g.ended.WriteString("the program has ended\n") // nobody may be interested any more
	}()
}

// awaitEnd waits for the end of the process of a descriptor, and closes that.
func awaitEnd(fd int) {
	for {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}},
			-1); !errors.Is(err, unix.EINTR) {
			unix.Close(fd)
			return
		}
	}
}

// await waits until the gate's command has come.
func (g *gate) await(t *testing.T) {
	t.Helper()
	line, err := g.begun.ReadString('\n')
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
	awaitEnd(g.stopped)
}

func (g *gate) open(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(g.bin, "go"), []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
}

// A blow is a signal, to the program or to its group, as a terminal sends it.
type blow struct {
	signal syscall.Signal
	group  bool
}

func (b blow) String() string { return fmt.Sprintf("%v, group %v", b.signal, b.group) }

func (b blow) strike(t *testing.T, cmd *exec.Cmd) {
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
func (g *gate) struck(t *testing.T, cmd *exec.Cmd, b blow) {
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
