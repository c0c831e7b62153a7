// Package devmapper tells what device-mapper and LVM know of a device, by asking dmsetup and lvs.
//
// Both programs are run with LC_ALL=C. Those that ask are killed when their context ends; those
// that change something run to their end (see [Trace]). Names are taken from them and never built:
// how LVM's names turn into device-mapper's is their business. Lengths are bytes unless a name says
// Sectors, which are of 512 bytes.
package devmapper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxOutput bounds what is kept of a program's output, in bytes: room for ten thousands of devices.
const maxOutput = 16 << 20

// toolError is a program that ended with an error.
type toolError struct {
	command string
	reason  string // what it said, or the exit status
	cause   error  // ErrCutShort, fs.ErrPermission or nil
}

func (e *toolError) Error() string {
	if e.command == "" {
		return e.reason
	}
	return e.command + ": " + e.reason
}

func (e *toolError) Unwrap() error { return e.cause }

// run runs a program that changes nothing and gives what it wrote to standard output, also when it
// failed.
func run(ctx context.Context, name string, args ...string) (string, error) {
	path, err := findTool(name)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = environment()
	// for output that a process left behind keeps open; a busy machine reads what there is later
	// than at once
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr limited
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s: %w", name, ctx.Err())
	}
	if err != nil {
		return stdout.String(), failure(cmd, err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// failure says why a program failed.
func failure(cmd *exec.Cmd, err error, stdout, stderr string) error {
	e := &toolError{command: words(cmd), reason: loggedReason(stdout)}
	if e.reason == "" {
		e.reason = firstReason(stderr)
	}
	if e.reason == "" {
		e.reason = err.Error()
	}
	switch {
	case cmd.ProcessState != nil && !cmd.ProcessState.Exited():
		e.reason, e.cause = err.Error(), ErrCutShort
	case os.Geteuid() != 0 && unix.Access("/dev/mapper/control", unix.R_OK|unix.W_OK) != nil:
		*e = toolError{reason: "only root may use " + filepath.Base(cmd.Args[0]),
			cause: fs.ErrPermission}
	}
	return e
}

// words is the command as one would type it, without the settings behind it that keep LVM's output
// as it is.
func words(cmd *exec.Cmd) string {
	args := cmd.Args
	if i := slices.Index(args, "--reportformat"); i >= 0 {
		args = args[:i]
	}
	return strings.Join(append([]string{filepath.Base(args[0])}, args[1:]...), " ")
}

// loggedReason is the first error in the log that LVM adds to a report, empty if there is none.
// What else it says, and how that looks, depends on its version and configuration.
func loggedReason(stdout string) string {
	var report struct {
		Log []struct {
			Type    string `json:"log_type"`
			Message string `json:"log_message"`
		} `json:"log"`
	}
	if json.Unmarshal([]byte(stdout), &report) != nil {
		return ""
	}
	for _, l := range report.Log {
		if l.Type == "error" {
			return strings.TrimSpace(l.Message)
		}
	}
	return ""
}

// noise begins lines on standard error that are no reason for a failure.
var noise = []string{"WARNING:", "File descriptor ", "Devices file ", "Please remove the lvm.conf "}

// firstReason is the first line that tells something.
func firstReason(stderr string) string {
lines:
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		for _, n := range noise {
			if strings.HasPrefix(line, n) {
				continue lines
			}
		}
		if line != "" {
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
