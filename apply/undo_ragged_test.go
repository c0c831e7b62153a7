package apply

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"lvmsync/format"
)

// A volume that was not of whole sectors ends within one of the volume that it has become. That sector is saved, too.
func TestUndoOfRaggedEnd(t *testing.T) {
	const ragged, grown = 4096 + 700, 16384
	full, _ := newVolume(format.Full, ragged, []format.Extent{data(0, ragged)}).patch(t)
	next := newVolume(format.Delta, grown, []format.Extent{data(8192, 4096)})
	next.header.ID = uuid.New()
	delta, _ := next.patch(t)
	dir, before := t.TempDir(), garbage(grown)
	path, undo := image(t, dir, before), filepath.Join(dir, "undo")
	r := newRun(path)
	r.Undo = undo
	if r.doAll(t.Context(), []Patch{{"full", bytes.NewReader(full)}, {"delta", bytes.NewReader(delta)}}); r.err != nil {
		t.Fatal(r.err)
	}
	back, err := os.ReadFile(undo)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, path, bytes.NewReader(back))
	wantContent(t, path, before)
}
