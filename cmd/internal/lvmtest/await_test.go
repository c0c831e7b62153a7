//go:build lvm

package lvmtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"testing"
	"time"
)

// commandLimit is longer than any command takes, in a guest on a busy machine, too.
const commandLimit = 10 * time.Minute

// perform runs a command to its end.
func perform(t *testing.T, cmd *exec.Cmd) error {
	t.Helper()
	if err := cmd.Start(); err != nil {
		return err
	}
	return await(t, cmd)
}

// await waits for a command. If that hangs, it tells what hangs, and ends it: a Go program tells
// its stacks. All waiting for commands goes through here.
func await(t *testing.T, cmd *exec.Cmd) error {
	t.Helper()
	cmd.WaitDelay = time.Minute // who has inherited its pipes, or feeds it, may hang as well
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	steps := []func(){
		func() { hangs(t, fmt.Sprintf("%q", cmd.Args)); cmd.Process.Signal(syscall.SIGQUIT) },
		func() { cmd.Process.Kill() },
		// What waits in the kernel can't be killed, and nothing after it would end either.
		func() { debug.SetTraceback("all"); panic(fmt.Sprintf("%q can't be killed", cmd.Args)) },
	}
	for i, limit := range []time.Duration{commandLimit, 10 * time.Second, 2 * cmd.WaitDelay} {
		select {
		case err := <-ended:
			return err
		case <-time.After(limit):
			steps[i]()
		}
	}
	return <-ended
}

// hangs reports something that takes too long, at once: the test may never end.
func hangs(t *testing.T, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	list, err := exec.CommandContext(ctx, "ps", "-ww", "--deselect", "-p", "2", "--ppid", "2", "-o",
		"pid,ppid,stat,wchan:30,args").CombinedOutput()
	fmt.Fprintf(os.Stderr, "%s: %s hangs; the processes (%v):\n%s", t.Name(), what, err, list)
	t.Errorf("%s hangs", what)
}

// A running is a command that is waited for while the test does something else.
type running struct {
	*exec.Cmd
	ended chan struct{}
	err   error
}

// start starts a command, which doesn't outlive the test.
func start(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &running{Cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = await(t, cmd)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-r.ended
	})
	return r
}

// Wait waits for its end.
func (r *running) Wait() error {
	<-r.ended
	return r.err
}

// until waits until something is so, which must be before the command's end.
func (r *running) until(t *testing.T, so func() bool) {
	t.Helper()
	for !so() {
		select {
		case <-r.ended:
			t.Fatalf("%q has ended too early: %v\n%v", r.Args, r.err, r.Stderr)
		default:
		}
	}
}

// newPipe makes a pipe for what a command writes. Reading from it has a limit: others than the
// command may have it open.
func newPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	if err := r.SetReadDeadline(time.Now().Add(commandLimit + time.Minute)); err != nil {
		t.Fatal(err)
	}
	return r, w
}
