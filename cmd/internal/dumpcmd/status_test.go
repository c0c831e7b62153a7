package dumpcmd

import (
	"errors"
	"fmt"
	"testing"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/sigfile"
)

// What is wrong with a signature has a status of its own (see the manual page).
func TestStatus(t *testing.T) {
	for err, want := range map[error]int{
		sigfile.ErrNotSignature:  cli.StatusBadPatch,
		format.ErrVersion:        cli.StatusBadPatch,
		format.ErrFeature:        cli.StatusBadPatch,
		format.ErrCorrupt:        cli.StatusBadPatch,
		&format.TruncatedError{}: cli.StatusBadPatch,
		dump.ErrOverflow:         cli.StatusFailed,
		archive.ErrGap:           cli.StatusWrongBase,
		archive.ErrDoubt:         cli.StatusWrongBase,
		archive.ErrAmbiguous:     cli.StatusFailed,
		errors.New("other"):      cli.StatusFailed,
	} {
		if got := status(fmt.Errorf("read it: %w", err)); got != want {
			t.Errorf("%v: status %d, want %d", err, got, want)
		}
	}
}
