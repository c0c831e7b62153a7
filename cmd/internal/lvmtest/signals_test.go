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

// newGate makes one for the commands of a tool that have a word. Script says what is done there, with the true one in $real: it
// stops where it says "stop".
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
	f, err := os.OpenFile(filepath.Join(g.bin, "begun"), os.O_RDWR, 0) // for writing, too: so it never ends
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	g.begun, g.ended = bufio.NewReader(f), f
	return g
}

// start starts a program in a process group of its own, as a shell does, and waits until the gate's command has come.
func (g *gate) start(t *testing.T, name string, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
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
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); !errors.Is(err, unix.EINTR) {
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

// newSignalled makes a thin volume with a snapshot, and a copy of that.
func newSignalled(t *testing.T, vg string) (origin, dest string) {
	t.Helper()
	newPool(t, vg, "64k", "32m")
	return fillSignalled(t, vg)
}

func fillSignalled(t *testing.T, vg string) (origin, dest string) {
	t.Helper()
	origin = newThin(t, vg, "origin", 4*mib)
	change(t, origin, 1, 20, 0)
	thinSnapshot(t, vg, "origin", "snap")
	dest = plain(t, vg, "dest", 4*mib)
	transfer(t, dest, "--full", vg+"/snap")
	change(t, origin, 2, 20, 2)
	return origin, dest
}

func isActive(t *testing.T, lv string) bool {
	t.Helper()
	return strings.TrimSpace(sh(t, "lvs", "--noheadings", "-o", "lv_active", lv)) == "active"
}

// A signal at the very moment at which a command changes something leaves nothing of that behind, or, after kill -9, nothing that
// the next run doesn't mend.
func TestSignalDuringChange(t *testing.T) {
	origin, dest := newSignalled(t, "during")
	script := map[string]string{"before": `stop`, "after": `"$real" "$@"; r=$?; stop; exit $r`}
	all := []blow{terminal, {syscall.SIGINT, false}, {syscall.SIGTERM, false}, {syscall.SIGHUP, false}, {syscall.SIGKILL, false}, kill}
	some := []blow{terminal, kill}
	for _, c := range []struct {
		tool, word, when string
		blows            []blow
	}{
		{"dmsetup", "reserve_metadata_snap", "after", all},
		{"dmsetup", "reserve_metadata_snap", "before", some},
		{"dmsetup", "release_metadata_snap", "after", some},
		{"dmsetup", "release_metadata_snap", "before", some},
		{"lvchange", "-ay", "after", all},
		{"lvchange", "-ay", "before", some},
		{"lvchange", "-an", "after", some},
		{"lvchange", "-an", "before", some},
	} {
		for _, b := range c.blows {
			t.Run(fmt.Sprintf("%s %s, %v", c.when, c.word, b), func(t *testing.T) {
				g := newGate(t, c.tool, c.word, script[c.when])
				cmd, stderr := g.start(t, "lvmsync-dump", "during/snap")
				b.strike(t, cmd)
				if b.signal == syscall.SIGKILL {
					cmd.Wait()
				}
				g.open(t)
				cmd.Wait()
				g.gone(t)
				t.Logf("status %d\n%s", cmd.ProcessState.ExitCode(), stderr)
				if b.signal == syscall.SIGKILL {
					transfer(t, dest, "during/snap")
					wantSame(t, origin, dest)
				} else if status := cmd.ProcessState.ExitCode(); status != 1 && c.word != "-an" {
					t.Errorf("status %d, want 1", status)
				}
				wantNothingHeld(t, "during")
				if isActive(t, "during/snap") {
					t.Error("the snapshot was left active")
					sh(t, "lvchange", "-an", "during/snap")
				}
			})
		}
	}
}

// lockOf is the file of the lock of a pool.
func lockOf(t *testing.T, vg string) string {
	t.Helper()
	return "/run/lvmsync/" + strings.TrimSpace(sh(t, "dmsetup", "info", "-c", "--noheadings", "-o", "uuid", vg+"-pool-tpool")) + ".lock"
}

// A run that was killed before it could reserve anything gives the next one no right to what somebody else has reserved since, nor
// does one that was killed with all who could tell.
func TestKilledBeforeOthersReserve(t *testing.T) {
	_, dest := newSignalled(t, "before")
	reserve := func() { sh(t, "dmsetup", "message", "before-pool-tpool", "0", "reserve_metadata_snap") }
	release := func() { sh(t, "dmsetup", "message", "before-pool-tpool", "0", "release_metadata_snap") }
	refused := func(message string) {
		t.Helper()
		held := heldRoot(t, "before")
		run(t, nil, "lvmsync-dump", "before/snap").want(t, 1, message)
		if now := heldRoot(t, "before"); now != held || held == "-" {
			t.Errorf("held before: %s, now: %s", held, now)
		}
	}

	g := newGate(t, "dmsetup", "reserve_metadata_snap", "stop; exit 1")
	cmd, _ := g.start(t, "lvmsync-dump", "before/snap")
	kill.strike(t, cmd)
	cmd.Wait()
	g.open(t)
	sh(t, "flock", lockOf(t, "before"), "true") // until it is noted that nothing came of it
	reserve()
	refused("held by another program")
	release()

	// dmsetup says that it failed: somebody else was quicker.
	g = newGate(t, "dmsetup", "reserve_metadata_snap", `stop; "$real" "$@"; "$real" "$@"; exit`)
	cmd, _ = g.start(t, "lvmsync-dump", "before/snap")
	kill.strike(t, cmd)
	cmd.Wait()
	g.open(t)
	sh(t, "flock", lockOf(t, "before"), "true")
	refused("held by another program")
	release()

	// Its witness is killed with it.
	g = newGate(t, "dmsetup", "reserve_metadata_snap", `"$real" "$@"; stop; exit 0`)
	cmd, _ = g.start(t, "lvmsync-dump", "before/snap")
	for _, child := range children(t, cmd.Process.Pid) {
		if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)); bytes.HasPrefix(text, []byte("lvmsync-witness\x00")) {
			syscall.Kill(child, syscall.SIGKILL)
		}
	}
	kill.strike(t, cmd)
	cmd.Wait()
	g.open(t)
	sh(t, "flock", lockOf(t, "before"), "true")
	refused("left behind by a run of this one that was killed, which can't be told")
	release()
	transfer(t, dest, "before/snap")
}

// children are the numbers of a process's children.
func children(t *testing.T, pid int) []int {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // of each thread its own
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

// The same with the kernel at work: every write to the pool's metadata takes a while.
func TestSignalDuringSlowMetadata(t *testing.T) {
	origin, dest := newSignalled(t, "slow")
	reloadDevice(t, "slow-pool_tmeta", func(table string) string {
		f := strings.Fields(table) // start, length, linear, device, offset
		return fmt.Sprintf("%s %s delay %s %s 0 %s %s 400", f[0], f[1], f[3], f[4], f[3], f[4])
	})
	for _, word := range []string{"reserve_metadata_snap", "release_metadata_snap"} {
		for _, b := range []blow{terminal, {syscall.SIGTERM, false}, kill} {
			t.Run(fmt.Sprintf("%s, %v", word, b), func(t *testing.T) {
				g := newGate(t, "dmsetup", word, `echo $$ >"$d/begun"; exec "$real" "$@"`)
				cmd, stderr := g.start(t, "lvmsync-dump", "slow/snap")
				b.strike(t, cmd)
				cmd.Wait()
				t.Logf("status %d\n%s", cmd.ProcessState.ExitCode(), stderr)
				if b.signal == syscall.SIGKILL {
					transfer(t, dest, "slow/snap")
					wantSame(t, origin, dest)
				} else if status := cmd.ProcessState.ExitCode(); status != 1 {
					t.Errorf("status %d, want 1", status)
				}
				wantNothingHeld(t, "slow")
			})
		}
	}
}

// A command that doesn't end is named when the user wants to, and not waited for when the user insists. What it then does after
// all, the next run undoes.
func TestSecondSignalDuringChange(t *testing.T) {
	origin, dest := newSignalled(t, "second")
	for _, c := range []struct{ tool, word string }{{"lvchange", "-ay"}, {"lvchange", "-an"}, {"dmsetup", "reserve_metadata_snap"}} {
		t.Run(c.word, func(t *testing.T) {
			g := newGate(t, c.tool, c.word, `stop; exec "$real" "$@"`)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			cmd := withPath(g.bin, "lvmsync-dump", "second/snap")
			cmd.Stderr = w
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			g.watch(t, cmd)
			g.await(t)
			blow{syscall.SIGINT, false}.strike(t, cmd)
			lines := bufio.NewScanner(r)
			for lines.Scan() && !strings.Contains(lines.Text(), "waiting for") {
			}
			if !strings.Contains(lines.Text(), c.word) {
				t.Errorf("waiting for what? %q", lines.Text())
			}
			blow{syscall.SIGINT, false}.strike(t, cmd)
			cmd.Wait()
			if s := cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGINT {
				t.Errorf("ended with %v, want death by SIGINT", cmd.ProcessState)
			}
			g.open(t)
			g.gone(t)
			transfer(t, dest, "second/snap")
			wantSame(t, origin, dest)
			wantNothingHeld(t, "second")
			if isActive(t, "second/snap") {
				t.Error("the snapshot was left active")
			}
		})
	}
}

// Two dumps of one snapshot at once: the last one to end deactivates it. What the user has activated stays active, and so does what
// somebody has open; the next run then deactivates it.
func TestActivation(t *testing.T) {
	_, dest := newSignalled(t, "active")
	first := newGate(t, "dmsetup", "release_metadata_snap", `"$real" "$@"; stop; exit 0`)
	second := newGate(t, "dmsetup", "status", `[ -e "$d/once" ] || { : >"$d/once"; stop; }`)
	for i, g := range []*gate{first, second} { // each has it open then
		cmd, stderr := g.start(t, "lvmsync-dump", "--full", "active/snap")
		defer func() {
			if !cmd.ProcessState.Success() {
				t.Errorf("dump %d: %v\n%s", i, cmd.ProcessState, stderr)
			}
			if strings.Contains(stderr.String(), "stays active") { // neither is a stranger to the other
				t.Errorf("dump %d:\n%s", i, stderr)
			}
		}()
		g.cmd = cmd
	}
	for _, g := range []*gate{first, second} {
		g.open(t)
		g.cmd.Wait()
	}
	if isActive(t, "active/snap") {
		t.Error("two dumps left the snapshot active")
	}

	sh(t, "lvchange", "-ay", "-K", "active/snap")
	transfer(t, dest, "active/snap")
	if !isActive(t, "active/snap") {
		t.Error("a snapshot that the user activated was deactivated")
	}
	sh(t, "lvchange", "-an", "active/snap")

	// Killed while it reads; then the user deactivates and activates it.
	killed := func() {
		g := newGate(t, "dmsetup", "release_metadata_snap", `stop; exit 0`)
		cmd, _ := g.start(t, "lvmsync-dump", "active/snap")
		kill.strike(t, cmd)
		cmd.Wait()
		g.open(t)
		g.gone(t)
	}
	killed()
	sh(t, "lvchange", "-an", "active/snap")
	sh(t, "lvchange", "-ay", "-K", "active/snap")
	transfer(t, dest, "active/snap")
	if !isActive(t, "active/snap") {
		t.Error("a snapshot that the user activated again was deactivated")
	}
	sh(t, "lvchange", "-an", "active/snap")

	killed()
	holder, err := os.Open("/dev/active/snap")
	if err != nil {
		t.Fatal(err)
	}
	d := run(t, nil, "lvmsync-dump", "active/snap")
	d.want(t, 0, "active/snap stays active: somebody else has it open")
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	transfer(t, dest, "active/snap")
	if isActive(t, "active/snap") {
		t.Error("what a killed run activated was left active")
	}
}
