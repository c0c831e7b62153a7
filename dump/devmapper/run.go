// Package devmapper tells what device-mapper and LVM know of a device, by asking dmsetup and lvs.
//
// Both programs are run with LC_ALL=C. Names are taken from them and never built: how LVM's names
// turn into device-mapper's is their business. Lengths are bytes unless a name says Sectors, which are of 512 bytes.
package devmapper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// maxOutput bounds what is kept of a program's output, in bytes: room for ten thousands of devices.
const maxOutput = 16 << 20

// toolError is a program that ended with an error.
type toolError struct {
	command string
	reason  string // the first line on standard error that tells something, or the exit status
}

func (e *toolError) Error() string { return e.command + ": " + e.reason }

// run runs a program and gives what it wrote to standard output, also when it failed.
func run(ctx context.Context, name string, args ...string) (string, error) {
	path, err := findTool(name)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = environment()
	cmd.WaitDelay = time.Second // for output that a process left behind keeps open
	var stdout, stderr limited
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s: %w", name, ctx.Err())
	}
	if err != nil {
		reason := firstReason(stderr.String())
		if reason == "" {
			reason = err.Error()
		}
		command := strings.Join(append([]string{name}, args...), " ")
		return stdout.String(), &toolError{command: command, reason: reason}
	}
	return stdout.String(), nil
}

// firstReason is the first line that is neither a warning nor about descriptors that lvs found open.
func firstReason(stderr string) string {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "WARNING:") && !strings.HasPrefix(line, "File descriptor ") {
			return line
		}
	}
	return ""
}

// limited is a buffer that refuses to grow past maxOutput.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxOutput {
		return 0, errors.New("too much output")
	}
	return l.Buffer.Write(p)
}
