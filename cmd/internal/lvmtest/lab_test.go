//go:build lvm

package lvmtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lvmsync/cmd/internal/applycmd"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/dumpcmd"
	"lvmsync/cmd/internal/patchcmd"
)

// TestMain makes the programs available under their names: the test binary runs itself again.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"lvmsync-dump":  func() { os.Exit(dumpcmd.Main(os.Args, cli.StdStreams())) },
		"lvmsync-apply": func() { os.Exit(applycmd.Main(os.Args, cli.StdStreams())) },
		"lvmsync-patch": func() { os.Exit(patchcmd.Main(os.Args, cli.StdStreams())) },
	})
}

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
)

// disks are the scratch disks of the guest.
func disks(t *testing.T, n int) []string {
	t.Helper()
	d := strings.Fields(os.Getenv("LVMSYNC_TEST_DISKS"))
	if len(d) < n {
		t.Fatalf("LVMSYNC_TEST_DISKS names %d disks, %d needed", len(d), n)
	}
	return d[:n]
}

// sh runs a command that must succeed and returns its standard output.
func sh(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := perform(t, cmd); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// A result is what a program gave.
type result struct {
	status         int
	stdout, stderr string
}

// run runs one of the programs, or another command whose status is of interest.
func run(t *testing.T, stdin io.Reader, name string, args ...string) result {
	t.Helper()
	return runCommand(t, stdin, exec.Command(name, args...))
}

func runCommand(t *testing.T, stdin io.Reader, cmd *exec.Cmd) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	err := perform(t, cmd)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	t.Logf("%s: status %d\n%s", strings.Join(cmd.Args, " "), cmd.ProcessState.ExitCode(),
		errs.String())
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// want checks status and message of a program.
func (r result) want(t *testing.T, status int, message string) {
	t.Helper()
	if r.status != status || !strings.Contains(r.stderr, message) {
		t.Errorf("status %d, want %d with a message with %q; got:\n%s", r.status, status, message,
			r.stderr)
	}
	if n := strings.Count(r.stderr, ": error: "); status != 0 && n != 1 {
		t.Errorf("%d error lines, want one:\n%s", n, r.stderr)
	}
}

// transfer dumps with the given arguments and applies to dest, both of which must succeed. It
// returns the patch.
func transfer(t *testing.T, dest string, dumpArgs ...string) []byte {
	t.Helper()
	d := run(t, nil, "lvmsync-dump", dumpArgs...)
	d.want(t, 0, "")
	applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
	return []byte(d.stdout)
}

// applyPatch runs lvmsync-apply with a patch from a pipe.
func applyPatch(t *testing.T, patch []byte, args ...string) result {
	t.Helper()
	return run(t, bytes.NewReader(patch), "lvmsync-apply", args...)
}

// changed is the number of extents and bytes that a dry run of dump announces.
func changed(t *testing.T, dumpArgs ...string) (extents, size int64) {
	t.Helper()
	r := run(t, nil, "lvmsync-dump", append([]string{"--dry-run"}, dumpArgs...)...)
	r.want(t, 0, "")
	_, rest, _ := strings.Cut(r.stdout, ": ")
	if _, err := fmt.Sscanf(rest, "%d extents, %d bytes", &extents, &size); err != nil {
		t.Fatalf("dry run says %q: %v", r.stdout, err)
	}
	return extents, size
}

// file writes a file in the test's own folder and returns its path.
func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wrapDmsetup makes a folder with a dmsetup that is the given script. The true one is in $real, the
// folder is ${0%/*}.
func wrapDmsetup(t *testing.T, script string) string {
	t.Helper()
	real, err := exec.LookPath("dmsetup")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	script = fmt.Sprintf("#!/bin/bash\nreal=%s\n%s\n", real, script)
	if err := os.WriteFile(filepath.Join(bin, "dmsetup"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return bin
}

// withPath is a command that finds what is in a folder first.
func withPath(bin, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	return cmd
}
