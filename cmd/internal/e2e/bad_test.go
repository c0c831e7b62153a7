package e2e

import (
	"bytes"
	"path/filepath"
	"testing"
)

// Every bad patch of the specification is refused with one line, from a file with exit status 4 and
// the destination untouched, from a pipe with 4 or, once something was written, 3.
func TestBadPatches(t *testing.T) {
	patches, err := filepath.Glob(filepath.Join(testdata, "bad", "*.lvmpatch"))
	if err != nil || len(patches) == 0 {
		t.Fatalf("no bad patches found: %v", err)
	}
	before := bytes.Repeat([]byte("destination "), 1<<14)
	for _, patch := range patches {
		t.Run(filepath.Base(patch), func(t *testing.T) {
			t.Parallel()
			dest := filepath.Join(t.TempDir(), "disk.img")
			mustWrite(t, dest, before)
			status, messages := run(t, nil, "lvmsync-apply", "--allow-smaller", patch, dest)
			if status != 4 || !bytes.Equal(mustRead(t, dest), before) {
				t.Errorf("from a file: status %d, want 4 and the destination as it was: %s", status,
					messages)
			}
			wantOneError(t, "lvmsync-apply", messages)

			status, messages = run(t, bytes.NewReader(mustRead(t, patch)), "lvmsync-apply",
				"--allow-smaller", dest)
			unchanged := bytes.Equal(mustRead(t, dest), before)
			if status != 3 && status != 4 || (status == 4 && !unchanged) {
				t.Errorf("from a pipe: status %d, destination unchanged: %v: %s", status, unchanged,
					messages)
			}
			wantOneError(t, "lvmsync-apply", messages)

			mustWrite(t, dest, before)
			status, messages = run(t, bytes.NewReader(mustRead(t, patch)), "lvmsync-apply",
				"--allow-smaller", "--spool", t.TempDir(), dest)
			if status != 4 || !bytes.Equal(mustRead(t, dest), before) {
				t.Errorf("spooled: status %d, want 4 and the destination as it was: %s", status,
					messages)
			}

			for _, subcommand := range []string{"info", "verify"} {
				status, messages = run(t, nil, "lvmsync-patch", subcommand, patch)
				if status != 4 {
					t.Errorf("%s: status %d, want 4: %s", subcommand, status, messages)
				}
				wantOneError(t, "lvmsync-patch", messages)
			}
		})
	}
}

// Every golden patch is described, and found to be whole, from a file and from a pipe.
func TestGoldenPatches(t *testing.T) {
	patches, err := filepath.Glob(filepath.Join(testdata, "golden", "*.lvmpatch"))
	if err != nil || len(patches) == 0 {
		t.Fatalf("no golden patches found: %v", err)
	}
	for _, patch := range patches {
		for _, subcommand := range []string{"info", "verify"} {
			wantRun(t, 0, "", "lvmsync-patch", subcommand, patch)
			if status, messages := run(t, bytes.NewReader(mustRead(t, patch)), "lvmsync-patch",
				subcommand); status != 0 {
				t.Errorf("%s of %s from a pipe: status %d: %s", subcommand, patch, status, messages)
			}
		}
	}
}
