package dumpcmd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump/thin"
)

// told is what a program says that does something with those arguments.
func told(t *testing.T, do func(context.Context, *cli.Invocation) error, args ...string) string {
	t.Helper()
	errs, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	c := &cli.Command{Name: "test", Flags: []ucli.Flag{cli.Switch("dry-run", "")}, Run: do}
	c.Main(append([]string{"test"}, args...), cli.Streams{In: os.Stdin, Out: os.Stdout, Err: errs})
	got, err := os.ReadFile(errs.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// A thin volume whose device says no more of itself is dumped as any device: that nothing is noted
// for its snapshots then is said, where anything is sent.
func TestOpenFailed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "volume")
	if err := os.WriteFile(file, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(ctx context.Context, inv *cli.Invocation) error {
		src, err := openFailed(ctx, inv, file, thin.ErrPool)
		if err != nil {
			return err
		}
		return src.Close()
	}
	for _, args := range [][]string{nil, {"--dry-run"}} {
		got := told(t, open, args...)
		if !strings.Contains(got, "all of "+file+" is read, mapped or not") {
			t.Errorf("%v: told %q", args, got)
		}
		if warned := strings.Contains(got, thin.ErrNotNoted.Error()); warned != (args == nil) {
			t.Errorf("%v: that nothing is noted is said: %t, in %q", args, warned, got)
		}
	}
}
