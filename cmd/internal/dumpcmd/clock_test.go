package dumpcmd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvmsync/cmd/internal/cli"
	"lvmsync/format"
)

// A patch that is older than its own snapshot says so.
func TestWarnClock(t *testing.T) {
	made := time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		h    format.Header
		want string
	}{
		"no snapshot": {format.Header{Created: made}, ""},
		"right": {format.Header{Created: made.Add(time.Millisecond),
			Base: &format.Base{SnapshotCreated: made}}, ""},
		"base": {format.Header{Created: made.Add(-time.Hour),
			Base: &format.Base{SnapshotCreated: made}}, "to 1h0m0s before"},
		"state": {format.Header{Created: made.Add(-time.Hour),
			State: &format.State{SnapshotCreated: made}}, "to 1h0m0s before"},
		"state, not base": {format.Header{Created: made,
			Base:  &format.Base{SnapshotCreated: made.Add(-time.Hour)},
			State: &format.State{SnapshotCreated: made.Add(time.Minute)}}, "to 1m0s before"},
	} {
		t.Run(name, func(t *testing.T) {
			errs, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer errs.Close()
			c := &cli.Command{Name: "test",
				Run: func(_ context.Context, inv *cli.Invocation) error {
					warnClock(inv, tt.h)
					return nil
				}}
			c.Main([]string{"test"}, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: errs})
			got, err := os.ReadFile(errs.Name())
			if err != nil || (len(got) > 0) != (tt.want != "") ||
				!strings.Contains(string(got), tt.want) {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
