package e2e

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"lvmsync/format"
)

// A damaged undo patch without its end is refused with the exit status of a bad patch, and used as
// far as it is whole if that is asked for.
func TestDamagedUndo(t *testing.T) {
	dir := t.TempDir()
	rnd := rand.NewChaCha8([32]byte{1})
	base, now := make([]byte, 4<<20), make([]byte, 4<<20)
	rnd.Read(base)
	rnd.Read(now)
	mustWrite(t, filepath.Join(dir, "image"), base)
	mustWrite(t, filepath.Join(dir, "now"), now)
	do := func(status int, message string, args ...string) {
		t.Helper()
		got, messages := runIn(t, dir, `exec "$@"`, args...)
		if got != status || !strings.Contains(messages, message) {
			t.Errorf("%v: status %d, want %d with %q:\n%s", args, got, status, message, messages)
		}
	}
	do(0, "", "lvmsync-dump", "--full", "now", "-o", "patch")
	do(0, "undo takes it back", "lvmsync-apply", "--undo", "undo", "patch", "image")
	do(0, "nothing was changed: there is no undo patch", "lvmsync-apply", "--undo", "none", "patch",
		"image")
	undo := mustRead(t, filepath.Join(dir, "undo"))
	f, err := format.OpenFile(bytes.NewReader(undo), int64(len(undo)))
	if err != nil {
		t.Fatal(err)
	}
	undo = undo[:len(undo)-100]
	second := f.Index()[1]
	undo[second.Offset+1000] ^= 1
	mustWrite(t, filepath.Join(dir, "undo"), undo)
	do(0, "bytes at its end are not understood", "lvmsync-patch", "verify", "undo")
	const hint = "hint: use a good copy of it; --force takes back what is whole of it, and says " +
		"how much is missing"
	do(4, hint, "lvmsync-apply", "undo", "image")
	do(4, hint, "lvmsync-apply", "--dry-run", "undo", "image")
	if !bytes.Equal(mustRead(t, filepath.Join(dir, "image")), now) {
		t.Error("the image has changed")
	}
	do(0, "warning: forced: undo is damaged, and takes back what is whole of it only; ",
		"lvmsync-apply", "--force", "undo", "image")
	copy(base[second.Start:second.End], now[second.Start:])
	if !bytes.Equal(mustRead(t, filepath.Join(dir, "image")), base) {
		t.Error("not all was taken back but what is missing")
	}
	do(4, "hint: use a good copy of it; lvmsync-apply --force", "lvmsync-patch", "verify",
		absolute(t, filepath.Join(testdata, "bad", "undo-damaged.lvmpatch")))
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
