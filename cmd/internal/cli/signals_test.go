package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A child is one of the children of TestMain, running.
type child struct {
	*exec.Cmd
	out  *bufio.Reader // its standard output
	pipe *os.File      // beneath out
	err  bytes.Buffer  // its standard error
}

// defaultSignals are the words before a program that give it the signals as they are by default:
// what runs the tests may have ignored some, as nohup does.
var defaultSignals = []string{"env", "--default-signal=HUP,INT,PIPE,QUIT,TERM"}

// startChild starts a child, through the words before it.
func startChild(t *testing.T, name string, before ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{}
	words := slices.Concat(defaultSignals, before, []string{exe})
	c.Cmd = exec.Command(words[0], words[1:]...)
	c.Env = append(os.Environ(), childVariable+"="+name)
	c.Stderr = &c.err
	out, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.pipe, c.out = outWrite, out, bufio.NewReader(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	outWrite.Close()
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		out.Close()
	})
	return c
}

func (c *child) expect(t *testing.T, line string) {
	t.Helper()
	if got, err := c.out.ReadString('\n'); err != nil || got != line+"\n" {
		t.Fatalf("read %q, %v; want %q; standard error %q", got, err, line, c.err.String())
	}
}

func (c *child) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// end waits for the child and checks what it left.
func (c *child) end(t *testing.T, status int, message string) {
	t.Helper()
	c.Wait()
	if got := c.ProcessState.ExitCode(); got != status || c.err.String() != message {
		t.Errorf("%v, standard error %q; want exit status %d, %q", c.ProcessState, c.err.String(),
			status, message)
	}
}

func TestSignalEndsProgram(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP,
		syscall.SIGQUIT} {
		c := startChild(t, "patient")
		c.expect(t, "ready")
		c.signal(t, s)
		c.end(t, StatusFailed, "lvmsync-test: error: read the bytes [0, 4096): interrupted\n")
	}
}

// A second signal doesn't end a program that tidies up.
func TestSecondSignalWaits(t *testing.T) {
	c := startChild(t, "slow")
	c.expect(t, "ready")
	c.signal(t, syscall.SIGINT)
	c.expect(t, "asked")
	c.signal(t, syscall.SIGTERM)
	c.expect(t, strings.Repeat("x", slowLine))
	c.end(t, StatusFailed, "lvmsync-test: error: read the bytes [0, 4096): interrupted\n")
}

// A program that hangs can still be ended.
func TestThirdSignalKills(t *testing.T) {
	c := startChild(t, "deaf")
	c.expect(t, "ready")
	c.signal(t, syscall.SIGINT)
	c.expect(t, "asked")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Wait()
	}()
	for c.Process.Signal(syscall.SIGINT) == nil { // some come before the second was seen
		runtime.Gosched()
	}
	<-ended
	if s := c.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() ||
		s.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, want death by SIGINT", c.ProcessState)
	}
}

// nohup and a shell that runs the program in the background have ignored signals that must stay so.
func TestIgnoredSignals(t *testing.T) {
	for names, want := range map[string][]syscall.Signal{
		"":        {},
		"HUP":     {syscall.SIGHUP},
		"HUP INT": {syscall.SIGHUP, syscall.SIGINT},
	} {
		before := []string{}
		if names != "" {
			before = []string{"/bin/sh", "-c", `trap "" ` + names + `; exec "$0"`}
		}
		c := startChild(t, "patient", before...)
		c.expect(t, "ready")
		mask := ignoredSignals(t, c.Process.Pid)
		for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
			if got := mask>>(s-1)&1 == 1; got != slices.Contains(want, s) {
				t.Errorf("started with %q ignored: %v is ignored: %t", names, s, got)
			}
		}
		c.signal(t, syscall.SIGTERM)
		c.end(t, StatusFailed, "lvmsync-test: error: read the bytes [0, 4096): interrupted\n")
	}
}

// ignoredSignals is the set of signals that a process ignores, bit 0 for signal 1.
func ignoredSignals(t *testing.T, pid int) uint64 {
	t.Helper()
	for line := range strings.Lines(content(t, fmt.Sprintf("/proc/%d/status", pid))) {
		if text, ok := strings.CutPrefix(line, "SigIgn:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return mask
		}
	}
	t.Fatal("the kernel doesn't tell which signals are ignored")
	return 0
}

func TestClosedPipeIsAnError(t *testing.T) {
	c := startChild(t, "writer")
	c.pipe.Close()
	c.end(t, StatusFailed, "lvmsync-test: error: write the patch: write /dev/stdout: broken pipe\n")
}
