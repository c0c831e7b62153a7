package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
	"lvmsync/format/volume"
)

// A file that has become another patch since it was looked at is not opened for that.
func TestReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "full")
	h := patchtest.Header(format.Full, 8192)
	all := []format.Record{{Extent: format.Extent{Len: 8192}}}
	put := func() {
		if err := os.WriteFile(path, patchtest.Write(t, h, all), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put()
	a, err := Read(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Select(Choice{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.OpenFile()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	h.ID = id(2)
	put()
	if _, err := p.OpenFile(); !errors.Is(err, ErrReplaced) {
		t.Error(err)
	}
	if _, _, err := p.Open(volume.Options{}); !errors.Is(err, ErrReplaced) {
		t.Error(err)
	}
}
