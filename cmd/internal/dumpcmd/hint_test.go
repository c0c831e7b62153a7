package dumpcmd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/dump"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/thick"
	"lvmsync/dump/thin"
	"lvmsync/format/storage"
)

// No hint proposes to remove or overwrite anything: a snapshot may be somebody's only backup.
func TestHints(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		hint string
	}{
		"receiver is gone": {unix.EPIPE, "the receiving program ended early"},
		"overflowed":       {dump.ErrOverflow, "make a new snapshot with more room"},
		"full disk":        {unix.ENOSPC, "free some space"},
		"bad sector":       {dump.ErrUnreadable, "with --on-read-error zero"},
		"no snapshot":      {thick.ErrNotSnapshot, "name a snapshot"},
		"no origin":        {thin.ErrNoOrigin, "name a snapshot"},
		"held":             {thin.ErrHeld, "wait for the other program"},
		"full dump runs":   {thin.ErrFullRuns, "let it end"},
		"not thin":         {thin.ErrNotThin, "with --to, both must be thin"},
		"no such device":   {devmapper.ErrNotFound, "check the name: a logical volume is"},
		"no such volume": {fmt.Errorf("%w (%w)", devmapper.ErrNotFound, devmapper.ErrNoTool),
			"check the name; of a logical volume"},
		"no sysfs":      {storage.ErrNoSysfs, "mount -t sysfs"},
		"no proc":       {storage.ErrNoProc, "mount -t proc"},
		"no dmsetup":    {devmapper.ErrNoTool, "install the package"},
		"anything else": {errors.New("x"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := hint(fmt.Errorf("about something: %w", tt.err))
			if !strings.HasPrefix(got, tt.hint) || tt.hint == "" && got != "" {
				t.Errorf("%q, want %q", got, tt.hint)
			}
			for _, harm := range []string{"remove", "overwrit", "lvremove", "--force"} {
				if strings.Contains(got, harm) {
					t.Errorf("proposes what may destroy a backup: %q", got)
				}
			}
		})
	}
}

// Each reason why a list is incomplete has a hint of its own, and none says to remove a snapshot.
func TestIncompleteHints(t *testing.T) {
	seen := make(map[string]error)
	for _, err := range []error{dump.ErrOverflow, dump.ErrStoreFailed, dump.ErrMiscount,
		dump.ErrGone} {
		text := hint(fmt.Errorf("vg/snap: %w", err))
		if text == "" || strings.Contains(text, "remove") {
			t.Errorf("%v: the hint is %q", err, text)
		}
		if other := seen[text]; other != nil {
			t.Errorf("%v has the hint of %v", err, other)
		}
		seen[text] = err
	}
}
