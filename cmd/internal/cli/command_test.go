package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runUnless fails with err if --level is what it says.
func runUnless(level int, err error) func(context.Context, *Invocation) error {
	return func(ctx context.Context, inv *Invocation) error {
		if inv.Int("level") == level {
			return err
		}
		inv.Warn("it is\nlate")
		inv.Note("%d of %d", 1, 2)
		inv.Close("all done", map[string]int{"extents": 3})
		return nil
	}
}

func TestMessages(t *testing.T) {
	const warning, note, closing = "lvmsync-test: warning: it is; late\n", "lvmsync-test: 1 of 2\n",
		"lvmsync-test: all done\n"
	run := runUnless(9, fmt.Errorf("open \x1b]0;x\a\x9b31m: %w", errTest))
	tests := map[string]struct {
		args string
		want result
	}{
		"success": {"a", result{0, "", warning + closing}},
		"quiet":   {"a -q", result{0, "", warning}},
		"verbose": {"a --verbose", result{0, "", warning + note + closing}},
		"failure": {"a --level 9", result{1, "",
			"lvmsync-test: error: open ?]0;x?\uFFFD31m: it went wrong\nlvmsync-test: hint: do " +
				"it; right\n"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := runCommand(t, run, strings.Fields(test.args)...); got != test.want {
				t.Errorf("got\n%+v, want\n%+v", got, test.want)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	never := func(context.Context, *Invocation) error { return errTest }
	for _, args := range []string{"--help", "-h", "vg/snap -h", "h --help", "--level x --help",
		"-nh", "--help --version"} {
		got := runCommand(t, never, strings.Fields(args)...)
		if got.status != 0 || got.err != "" {
			t.Errorf("%s: status %d, error %q", args, got.status, got.err)
		}
		for _, want := range []string{"lvmsync-test: test what", "lvmsync-test [options] NAME...",
			"--output FILE, -o FILE", "--quiet, -q", "--version  ", "(default: 1)"} {
			if !strings.Contains(got.out, want) {
				t.Errorf("%s: %q is not in\n%s", args, want, got.out)
			}
		}
	}
	for _, args := range []string{"--version", "vg/snap --version", "--level x --version"} {
		want := result{out: "lvmsync-test " + Version + "\n"}
		if got := runCommand(t, never, strings.Fields(args)...); got != want {
			t.Errorf("%s gave %+v, want %+v", args, got, want)
		}
	}
}

// What can't be printed is an error.
func TestHelpIntoFullDevice(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, option := range []string{"--help", "--version"} {
		if got := testCommand(show).Main([]string{"x", option},
			Streams{null, full, null}); got != StatusFailed {
			t.Errorf("%s: exit status %d", option, got)
		}
	}
}

func TestJSON(t *testing.T) {
	run := runUnless(9, fmt.Errorf("open: %w", errTest))
	tests := map[string]struct {
		args string
		want map[string]any
	}{
		"success": {"a --json", map[string]any{"exit_status": 0., "warnings": []any{"it is\nlate"},
			"summary": map[string]any{"extents": 3.}}},
		"verbose": {"a --json -v", map[string]any{"exit_status": 0.,
			"warnings": []any{"it is\nlate"}, "summary": map[string]any{"extents": 3.}}},
		"failure": {"--json --level 9", map[string]any{"exit_status": 1.,
			"error": "open: it went wrong", "hint": "do it\nright"}},
		"unknown option": {"--bogus --json",
			map[string]any{"exit_status": 2., "error": "unknown option --bogus",
				"hint": "see lvmsync-test --help"}},
		"junk": {"--level x --json", map[string]any{"exit_status": 2.,
			"error": `invalid value "x" for option --level: parse error`,
			"hint":  "see lvmsync-test --help"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := runCommand(t, run, strings.Fields(test.args)...)
			if got.out != "" || strings.Count(got.err, "\n") != 1 ||
				float64(got.status) != test.want["exit_status"] {
				t.Errorf("got %+v", got)
			}
			var object map[string]any
			if err := json.Unmarshal([]byte(got.err), &object); err != nil {
				t.Fatal(err)
			}
			if s, ok := object["seconds"].(float64); !ok || s < 0 {
				t.Errorf("seconds is %v", object["seconds"])
			}
			delete(object, "seconds")
			test.want["program"], test.want["version"] = "lvmsync-test", Version
			if diff := cmp.Diff(test.want, object); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInterruptedError(t *testing.T) {
	tests := map[string]error{
		"interrupted":                         context.Canceled,
		"read the patch: interrupted":         fmt.Errorf("read the patch: %w", context.Canceled),
		"interrupted: dmsetup: exit status 1": errors.New("dmsetup: exit status 1"),
	}
	for want, err := range tests {
		e := &interruptedError{err}
		if e.Error() != want || !errors.Is(e, err) {
			t.Errorf("%v became %q, want %q", err, e, want)
		}
	}
}
