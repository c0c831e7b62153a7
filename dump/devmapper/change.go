package devmapper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrCutShort means that a program was killed by somebody else. One that changes something may have
// done so or not.
var ErrCutShort = errors.New("killed")

// A Trace is what outlives this program if that is killed while a command of it changes something.
// The zero value is fine where nobody will look.
type Trace struct {
	// Stderr is a file for what the command writes to standard error. It says nothing there if all
	// goes well.
	Stderr *os.File
	// Open is a file that the command keeps open, as its standard input, until it has ended: LVM's
	// programs close all others.
	Open *os.File
}

// patience is how long a command may go on unnoticed that the user wants to end.
var patience = time.Second

// Keys of a context's values.
type (
	notifyKey struct{} // a func(string)
	askedKey  struct{} // the context whose end was ignored
)

// WithWaiting gives a context whose end is not obeyed at once by commands that change something:
// notify is then told which one has to end first, if that takes a while.
func WithWaiting(ctx context.Context, notify func(command string)) context.Context {
	return context.WithValue(ctx, notifyKey{}, notify)
}

// Regardless gives a context for what has to be undone whatever becomes of ctx. WithWaiting's
// function hears of its end.
func Regardless(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), askedKey{}, ctx)
}

// change runs a program that changes something. Once started it runs to its end, whatever becomes
// of ctx, in a process group of its own, which the signals of a terminal do not reach.
func change(ctx context.Context, trace Trace, name string, args ...string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	path, err := findTool(name)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Files, not pipes: a daemon that the program starts may keep them open.
	stdout, err := MemoryFile("stdout")
	if err != nil {
		return err
	}
	defer stdout.Close()
	if trace.Stderr == nil {
		if trace.Stderr, err = MemoryFile("stderr"); err != nil {
			return err
		}
		defer trace.Stderr.Close()
	}
	cmd.Stdout, cmd.Stderr = stdout, trace.Stderr
	if trace.Open != nil {
		cmd.Stdin = trace.Open
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := wait(ctx, cmd); err != nil {
		return failure(cmd, err, Content(stdout), Content(trace.Stderr))
	}
	return nil
}

// wait waits for a command, and tells so if it is wanted to end.
func wait(ctx context.Context, cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	asked := ctx
	if outer, ok := ctx.Value(askedKey{}).(context.Context); ok {
		asked = outer
	}
	select {
	case err := <-ended:
		return err
	case <-asked.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
	}
	if notify, ok := ctx.Value(notifyKey{}).(func(string)); ok {
		notify(words(cmd))
	}
	return <-ended
}

// MemoryFile makes a file that is in no folder.
func MemoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Content is what was written to a file, up to what is kept of a program's output.
func Content(f *os.File) string {
	text, _ := io.ReadAll(io.NewSectionReader(f, 0, maxOutput)) // of memory: what there is
	return string(text)
}
