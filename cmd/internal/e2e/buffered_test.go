package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeAbove writes to a file through a loop device that stays open, and leaves it in memory above
// that.
func writeAbove(t *testing.T, file string, off int64, b []byte) {
	t.Helper()
	dev, _ := asRoot(t).loop(file)
	f, err := os.OpenFile(dev, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

// Of image files, too, is dumped what programs have written above them, by loop devices, and keep
// in memory.
func TestBufferedWritersOfFiles(t *testing.T) {
	const size = 4 << 20
	written := bytes.Repeat([]byte("written "), 64)
	for name, args := range map[string][]string{
		"full":      {"--full", "new.img"},
		"base":      {"--base", "old.img", "new.img"},
		"signature": {"--signature", "old.sig", "new.img"},
		"cow":       {"--cow", "cow.img", "origin.img"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(snapshotFolder(t))
			old, now := bytes.Repeat([]byte("old "), size/4), bytes.Repeat([]byte("new "), size/4)
			reads := []string{"new.img", "old.img"}
			if name == "cow" {
				old, now = mustRead(t, "base.img"), mustRead(t, "origin.img")
				reads = []string{"origin.img", "cow.img"}
				store := mustRead(t, "cow.img")
				mustWrite(t, "cow.img", make([]byte, len(store)))
				writeAbove(t, "cow.img", 0, store)
				at := 0 // a sector in a chunk that is listed
				for bytes.Equal(old[at:at+512], now[at:at+512]) {
					at += 512
				}
				writeAbove(t, "origin.img", int64(at), written)
				copy(now[at:], written)
			} else {
				mustWrite(t, "old.img", old)
				mustWrite(t, "new.img", now)
				writeAbove(t, "old.img", 1<<20, written)
				writeAbove(t, "new.img", 2<<20, written)
				copy(old[1<<20:], written)
				copy(now[2<<20:], written)
			}
			said := ""
			if name == "signature" {
				status, errs := run(t, nil, "lvmsync-patch", "signature", "-o", "old.sig",
					"old.img")
				if status != 0 {
					t.Fatal(errs)
				}
				said = errs
			}
			if name == "full" {
				reads = reads[:1]
			}
			status, errs := run(t, nil, "lvmsync-dump", append(args, "-o", "patch")...)
			if status != 0 {
				t.Fatal(errs)
			}
			for _, file := range reads {
				if !strings.Contains(said+errs, " "+file+" is open for writing by e2e.test") {
					t.Errorf("nobody says that %s is open for writing:\n%s", file, said+errs)
				}
			}
			dest := filepath.Join(t.TempDir(), "dest.img")
			mustWrite(t, dest, old)
			if status, errs := run(t, nil, "lvmsync-apply", "patch", dest); status != 0 {
				t.Fatal(errs)
			}
			if !bytes.Equal(mustRead(t, dest), now) {
				t.Error("the copy lacks what was written before the dump")
			}
		})
	}
}
