package devmapper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slowTool puts a program on the PATH, alone, that says on one pipe that it has begun, and ends
// when the other is written.
func slowTool(t *testing.T, name, end string) (begun *bufio.Reader, release func()) {
	t.Helper()
	dir := t.TempDir()
	for _, fifo := range []string{"begun", "go"} {
		if err := syscall.Mkfifo(filepath.Join(dir, fifo), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/bash\nd=${0%/*}; trap 'echo interrupted >>$d/done' INT; " +
		"echo $$ $(</proc/$$/stat) >$d/begun; read <$d/go; echo ended >>$d/done; " + end + "\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	onlyPath(t, dir)
	f, err := os.OpenFile(filepath.Join(dir, "begun"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return bufio.NewReader(f), func() {
		if err := os.WriteFile(filepath.Join(dir, "go"), []byte("\n"), 0); err != nil {
			t.Error(err)
		}
	}
}

// What changes something runs to its end in a process group of its own, though its context ends,
// and the user is told what is waited for; what asks is killed.
func TestChangeRunsToItsEnd(t *testing.T) {
	for _, undo := range []bool{false, true} {
		t.Run(fmt.Sprintf("undo %v", undo), func(t *testing.T) {
			old := patience
			t.Cleanup(func() { patience = old })
			patience = time.Millisecond
			begun, release := slowTool(t, "lvchange", "exit 0")
			ctx, cancel := context.WithCancel(context.Background())
			waitingFor := make(chan string, 1)
			ctx = WithWaiting(ctx, func(command string) { waitingFor <- command })
			if undo {
				ctx = Regardless(ctx)
			}
			ended := make(chan error, 1)
			go func() {
				ended <- change(ctx, Trace{}, "lvchange", "-ay", "vg/lv", "--reportformat", "json")
			}()
			line, err := begun.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			stat := strings.Fields(line) // its number, then proc(5): pid, comm, state, ppid, pgrp
			if stat[0] != stat[5] {
				t.Errorf("process %s is in the process group %s", stat[0], stat[5])
			}
			cancel()
			if got := <-waitingFor; got != "lvchange -ay vg/lv" {
				t.Errorf("waiting for %q", got)
			}
			select {
			case err := <-ended:
				t.Fatalf("ended before its command: %v", err)
			default:
			}
			release()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChangeNotBegun(t *testing.T) {
	argsFile := fakeTool(t, "lvchange", "", "", "0")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := change(ctx, Trace{}, "lvchange", "-ay"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is not context.Canceled", err)
	}
	if _, err := os.Stat(argsFile); err == nil {
		t.Error("the command was begun")
	}
	if err := change(Regardless(ctx), Trace{}, "lvchange", "-an"); err != nil {
		t.Errorf("what undoes: %v", err)
	}
	if _, err := os.Stat(argsFile); err != nil {
		t.Error(err)
	}
}

func TestChangeFailure(t *testing.T) {
	for _, tt := range []struct {
		name, stdout, stderr, status string
		want                         string
		cut                          bool
	}{
		{"words", "", "  WARNING: odd\n  the reason\n", "5",
			"lvchange -an vg/lv: the reason", false},
		{"log", `{"report":[], "log":[{"log_type":"error","log_message":"the reason"}]}`, "noise\n",
			"5", "lvchange -an vg/lv: the reason", false},
		{"nothing", "", "", "3", "lvchange -an vg/lv: exit status 3", false},
		{"killed", "", "a word\n", "$(kill -TERM $$)", "lvchange -an vg/lv: signal: terminated",
			true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fakeTool(t, "lvchange", tt.stdout, tt.stderr, tt.status)
			stderr, err := MemoryFile("stderr")
			if err != nil {
				t.Fatal(err)
			}
			defer stderr.Close()
			err = change(context.Background(), Trace{Stderr: stderr}, "lvchange", "-an", "vg/lv",
				"--reportformat", "json")
			if err == nil || err.Error() != tt.want || errors.Is(err, ErrCutShort) != tt.cut {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if Content(stderr) != tt.stderr {
				t.Errorf("standard error %q", Content(stderr))
			}
		})
	}
}

// What a command leaves open has its end seen by those who have the other side.
func TestChangeKeepsOpen(t *testing.T) {
	begun, release := slowTool(t, "dmsetup", "exit 0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(w.Fd())
	ended := make(chan error, 1)
	go func() {
		ended <- change(context.Background(), Trace{Open: w}, "dmsetup", "message")
	}()
	if _, err := begun.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	// as if this program were gone
	if err := unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() {
		_, err := r.Read(make([]byte, 1))
		closed <- err
	}()
	select {
	case err := <-closed:
		t.Fatalf("it is closed while the command runs: %v", err)
	default:
	}
	release()
	if err := errors.Join(<-ended); err != nil {
		t.Error(err)
	}
	if err := <-closed; err == nil {
		t.Error("something was read")
	}
}
