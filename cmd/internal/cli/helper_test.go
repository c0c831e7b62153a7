package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// childVariable makes the test binary be one of the children below, a program that signals can be
// sent to.
const childVariable = "LVMSYNC_CLI_TEST_CHILD"

func TestMain(m *testing.M) {
	if run := children[os.Getenv(childVariable)]; run != nil {
		os.Exit(testCommand(run).Main(os.Args, StdStreams()))
	}
	os.Exit(m.Run())
}

var children = map[string]func(context.Context, *Invocation) error{
	// patient ends when it is asked to.
	"patient": func(ctx context.Context, inv *Invocation) error {
		fmt.Fprintln(inv.Std().Out, "ready")
		<-ctx.Done()
		return fmt.Errorf("read the bytes [0, 4096): %w", ctx.Err())
	},
	// slow writes more than a pipe holds before it ends, when it is asked to.
	"slow": func(ctx context.Context, inv *Invocation) error {
		fmt.Fprintln(inv.Std().Out, "ready")
		<-ctx.Done()
		fmt.Fprintln(inv.Std().Out, "asked")
		fmt.Fprintln(inv.Std().Out, strings.Repeat("x", slowLine))
		return fmt.Errorf("read the bytes [0, 4096): %w", ctx.Err())
	},
	// deaf never ends by itself.
	"deaf": func(ctx context.Context, inv *Invocation) error {
		fmt.Fprintln(inv.Std().Out, "ready")
		<-ctx.Done()
		fmt.Fprintln(inv.Std().Out, "asked")
		select {}
	},
	// writer writes until that fails.
	"writer": func(_ context.Context, inv *Invocation) error {
		for {
			if _, err := inv.Std().Out.Write(make([]byte, 4096)); err != nil {
				return fmt.Errorf("write the patch: %w", err)
			}
		}
	},
}

var errTest = errors.New("it went wrong")

// testCommand is a program with each sort of option.
func testCommand(run func(context.Context, *Invocation) error) *Command {
	return &Command{
		Name:        "lvmsync-test",
		Usage:       "test what programs share",
		UsageText:   "lvmsync-test [options] NAME...",
		Description: "Nothing is done.",
		Flags: []cli.Flag{
			Switch("full", "everything"),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"},
			&cli.IntFlag{Name: "level", Value: 1, Usage: "compression `LEVEL`"},
			Switch("dry-run", "do nothing", "n"),
		},
		Run:    run,
		Status: func(error) int { return StatusFailed },
		Hint: func(err error) string {
			if errors.Is(err, errTest) {
				return "do it\nright"
			}
			return ""
		},
	}
}

// result is what a run of the test command left.
type result struct {
	status   int
	out, err string
}

// runCommand runs the test command in this process.
func runCommand(t *testing.T, run func(context.Context, *Invocation) error, args ...string) result {
	t.Helper()
	return runIn(t, testCommand(run), args...)
}

// runIn runs a command in this process.
func runIn(t *testing.T, c *Command, args ...string) result {
	t.Helper()
	dir := t.TempDir()
	std := Streams{In: os.Stdin}
	for name, f := range map[string]**os.File{"out": &std.Out, "err": &std.Err} {
		var err error
		if *f, err = os.Create(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		defer (*f).Close()
	}
	r := result{status: c.Main(append([]string{"./" + c.Name}, args...), std)}
	r.out, r.err = content(t, std.Out.Name()), content(t, std.Err.Name())
	return r
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// show prints what was parsed.
func show(_ context.Context, inv *Invocation) error {
	var b strings.Builder
	fmt.Fprintf(&b, "full %t dry-run %t level %d output %q set %t args %q", inv.Bool("full"),
		inv.Bool("dry-run"),
		inv.Int("level"), inv.String("output"), inv.IsSet("output"), inv.Args().Slice())
	_, err := io.WriteString(inv.Std().Out, b.String())
	return err
}

// slowLine is how much slow writes, in bytes.
const slowLine = 4 << 20
