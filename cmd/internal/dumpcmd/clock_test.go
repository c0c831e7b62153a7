package dumpcmd

import (
	"context"
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
			got := told(t, func(_ context.Context, inv *cli.Invocation) error {
				warnClock(inv, tt.h)
				return nil
			})
			if (len(got) > 0) != (tt.want != "") || !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
