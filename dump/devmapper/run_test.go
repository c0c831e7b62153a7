package devmapper

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunWithoutTool(t *testing.T) {
	for _, path := range []string{"", t.TempDir()} {
		onlyPath(t, path)
		_, err := run(context.Background(), "dmsetup", "table")
		if !errors.Is(err, ErrNoTool) {
			t.Errorf("error %v is not ErrNoTool", err)
		}
		checkError(t, err, "dmsetup not found on the PATH")
	}
}

func TestRunToolThatMayNotRun(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dmsetup"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	onlyPath(t, dir)
	_, err := run(context.Background(), "dmsetup", "table")
	checkError(t, err, "dmsetup")
}

func TestRunKeepsOutputApart(t *testing.T) {
	fakeTool(t, "dmsetup", "the output\n", "  WARNING: not the output\n", "0")
	if out, err := run(context.Background(), "dmsetup", "table"); out != "the output\n" ||
		err != nil {
		t.Errorf("run = %q, %v", out, err)
	}
}

func TestRunFailure(t *testing.T) {
	for _, tt := range []struct{ stderr, want string }{
		{"", "dmsetup table -j 253: exit status 3"},
		{"\n  WARNING: odd\n", "dmsetup table -j 253: exit status 3"},
		{"File descriptor 9 (/dev/x) leaked on lvs invocation.\n  WARNING: Running as a non-root " +
			"user.\n  the reason\n  more\n", "dmsetup table -j 253: the reason"},
	} {
		fakeTool(t, "dmsetup", "some output", tt.stderr, "3")
		out, err := run(context.Background(), "dmsetup", "table", "-j", "253")
		if err == nil || err.Error() != tt.want {
			t.Errorf("error %v, want %s", err, tt.want)
		}
		if out != "some output" {
			t.Errorf("output %q", out)
		}
	}
}

func TestRunCancelled(t *testing.T) {
	fakeTool(t, "dmsetup", "", "", "0")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := run(ctx, "dmsetup", "table"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is not context.Canceled", err)
	}
}

func TestRunBoundsOutput(t *testing.T) {
	l := new(limited)
	if _, err := l.Write([]byte(strings.Repeat("x", maxOutput))); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("x")); err == nil {
		t.Error("a byte too many was accepted")
	}
}
