package apply

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvmsync/format"
)

// Who removes or replaces a file while it is written is told that nothing is there under its name.
func TestNameGone(t *testing.T) {
	vol := newVolume(format.Full, 4*mib, []format.Extent{data(0, 2*mib)},
		[]format.Extent{data(2*mib, 2*mib)})
	patch, _ := vol.patch(t)
	for name, change := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".moved"),
				os.WriteFile(path, make([]byte, 4*mib), 0o600))
		},
	} {
		for _, created := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "image")
				if !created {
					path = image(t, t.TempDir(), garbage(4*mib))
				}
				r := newRun(path)
				r.Create = created
				r.onStep = func(int64) {
					if r.onStep = nil; change(path) != nil {
						t.Error("not changed")
					}
				}
				r.do(t.Context(), pipe(patch))
				if p := r.wantPartial(t); !strings.Contains(p.Error(),
					path+" was removed or replaced while it was written") {
					t.Error(p)
				}
			})
		}
		t.Run("undo patch "+name, func(t *testing.T) {
			r := newRun(image(t, t.TempDir(), garbage(4*mib)))
			r.Undo = filepath.Join(t.TempDir(), "undo")
			r.onStep = func(int64) {
				if r.onStep = nil; change(r.Undo) != nil {
					t.Error("not changed")
				}
			}
			r.do(t.Context(), pipe(patch))
			if r.err != nil {
				t.Fatal(r.err)
			}
			r.wantWarning(t, r.Undo+" was removed or replaced while it was written")
			if r.report.Undo {
				t.Error("it is said to take the destination back")
			}
		})
	}
}
