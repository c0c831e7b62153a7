package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"

	"lvmsync/cmd/internal/applycmd"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/dumpcmd"
	"lvmsync/cmd/internal/patchcmd"
	"lvmsync/dump/thick"
)

// testdata of the whole project.
const testdata = "../../../testdata"

// TestMain makes the programs available under their names: the test binary runs itself again, so
// that the race detector sees them, too.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"lvmsync-dump":  func() { os.Exit(dumpcmd.Main(os.Args, cli.StdStreams())) },
		"lvmsync-apply": func() { os.Exit(applycmd.Main(os.Args, cli.StdStreams())) },
		"lvmsync-patch": func() { os.Exit(patchcmd.Main(os.Args, cli.StdStreams())) },
	})
}

// TestScripts runs the scripts. Each starts with the captured data of a real snapshot: cow.img, the
// origin as it was (base.img) and as it is (origin.img), and what the snapshot holds
// (snapshot.img), to which a chunk was written. lost.patch is a delta of a volume of 64 KiB with
// lost sectors.
func TestScripts(t *testing.T) {
	testscript.RunT(oneByOne{t}, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", os.Getenv("GORACE")) // scripts have an environment of their own
			if err := unpackSnapshot("c64k-partial", env.WorkDir); err != nil {
				return err
			}
			if err := copyFile(filepath.Join(testdata, "golden", "delta-lost.lvmpatch"),
				filepath.Join(env.WorkDir, "lost.patch")); err != nil {
				return err
			}
			return makeSnapshot(env.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":  status,
			"craft":   craft,
			"cut":     cut,
			"flip":    flip,
			"pad":     pad,
			"reverse": reverse,
		},
	})
}

// oneByOne runs scripts one after another: one that writes a file of its own while another one
// starts a program would, for a moment, share the open file with that program's process, and be
// told that the file is in use.
type oneByOne struct{ *testing.T }

func (oneByOne) Parallel() {}

func (t oneByOne) Run(name string, script func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { script(oneByOne{t}) })
}

func (oneByOne) Verbose() bool { return testing.Verbose() }

// status N COMMAND... runs a command that must end with exit status N.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command...")
	}
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("status %d, want %s:\n%s", got, args[0], ts.ReadFile("stderr"))
	}
}

// cut FROM TO N makes TO of the first N bytes of FROM; of all but the last -N if N is negative.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: cut from to n")
	}
	b := []byte(ts.ReadFile(args[0]))
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	if n < 0 {
		n += len(b)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b[:n], 0o600))
}

// flip FILE OFFSET changes a byte, counted from the end if it is negative.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip file offset")
	}
	b := []byte(ts.ReadFile(args[0]))
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	if n < 0 {
		n += len(b)
	}
	if n < 0 || n >= len(b) {
		ts.Fatalf("%s has %d bytes only", args[0], len(b))
	}
	b[n] ^= 0x10
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// pad FILE N adds N zeros.
func pad(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pad file n")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := append([]byte(ts.ReadFile(args[0])), make([]byte, n)...)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// reverse TO FROM writes FROM backwards.
func reverse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: reverse to from")
	}
	b := []byte(ts.ReadFile(args[1]))
	slices.Reverse(b)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// makeSnapshot makes what the snapshot holds, out of its store and the origin.
func makeSnapshot(dir string) error {
	src, err := thick.OpenStore(context.Background(), filepath.Join(dir, "cow.img"),
		filepath.Join(dir, "origin.img"), true, false)
	if err != nil {
		return err
	}
	defer src.Close()
	b := make([]byte, src.Base.Size())
	if _, err := src.Base.ReadAt(b, 0); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "snapshot.img"), b, 0o600)
}

// snapshotFolder is a folder with captured data of a snapshot.
func snapshotFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unpackSnapshot("c64k-partial", dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// unpackSnapshot unpacks captured data into a folder.
func unpackSnapshot(name, dir string) error {
	for _, f := range []string{"cow.img", "base.img", "origin.img"} {
		packed, err := os.Open(filepath.Join(testdata, "cow", name, f+".zst"))
		if err != nil {
			return err
		}
		defer packed.Close()
		dec, err := zstd.NewReader(packed)
		if err != nil {
			return err
		}
		defer dec.Close()
		out, err := os.Create(filepath.Join(dir, f))
		if err != nil {
			return err
		}
		_, err = io.Copy(out, dec)
		if err = errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
	return nil
}

// run runs a program and returns its exit status and its messages.
func run(t *testing.T, stdin io.Reader, name string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = stdin
	return runCommand(t, cmd)
}

// runIn runs a program in a folder, by a line of shell that has it as its arguments.
func runIn(t *testing.T, dir, script string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, args...)...)
	cmd.Dir = dir
	return runCommand(t, cmd)
}

func runCommand(t *testing.T, cmd *exec.Cmd) (int, string) {
	t.Helper()
	messages := start(t, cmd)
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return cmd.ProcessState.ExitCode(), messages.String()
}

// start starts a program. Its messages may be read when it has ended.
func start(t *testing.T, cmd *exec.Cmd) (messages *bytes.Buffer) {
	t.Helper()
	messages = new(bytes.Buffer)
	cmd.Stderr = messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return messages
}

// wantRun runs a program that must end with that status and say that.
func wantRun(t *testing.T, status int, message, name string, args ...string) {
	t.Helper()
	got, messages := run(t, nil, name, args...)
	if got != status || !strings.Contains(messages, message) {
		t.Errorf("%s %s: status %d, want %d with %q:\n%s", name, strings.Join(args, " "), got,
			status, message, messages)
	}
}

// wantOneError checks that messages hold one error line and no sign of a panic.
func wantOneError(t *testing.T, program, messages string) {
	t.Helper()
	if n := strings.Count(messages, fmt.Sprintf("%s: error: ", program)); n != 1 ||
		strings.Contains(messages, "goroutine ") {
		t.Errorf("want one error line, got:\n%s", messages)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mustWrite writes a file. No program is started meanwhile, for its process would have the file
// open, too, until it has become the program.
func mustWrite(t testing.TB, path string, b []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
