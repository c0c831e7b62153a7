package storage

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"lvmsync/format/storage/devtest"
)

// Those who ask at once whether a device is claimed don't see one another, and see somebody who has
// claimed it.
func TestProbesAtOnce(t *testing.T) {
	devtest.NeedRoot(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := Identify(devtest.Loop(t, file))
	if err != nil {
		t.Fatal(err)
	}
	l := layer{id: id, name: id.Name()}
	var probes sync.WaitGroup
	for range 8 {
		probes.Go(func() {
			for range 300 {
				if isClaimed(l) {
					t.Error("another look was taken for a user")
					return
				}
			}
		})
	}
	probes.Wait()
	f, err := os.OpenFile(id.Path(), os.O_RDONLY|os.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !isClaimed(l) {
		t.Error("who has claimed it was not seen")
	}
}
