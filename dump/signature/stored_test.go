package signature

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"lvmsync/dump"
	"lvmsync/dump/full"
	"lvmsync/dump/internal/imagetest"
	"lvmsync/dump/stored"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/sigfile"
	"lvmsync/format/volume"
)

// stateOf opens the state that a full patch leads to.
func stateOf(t *testing.T, path string) *stored.State {
	t.Helper()
	a, err := archive.Read(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Select(archive.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := stored.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// The signature of an archive is that of the volume which it holds, and what is dumped by it
// follows the patch.
func TestStoredPairs(t *testing.T) {
	imagetest.Run(t, 1, func(t *testing.T, p imagetest.Pair, blockSize int64) dump.Source {
		path := filepath.Join(t.TempDir(), "full")
		v, err := full.Open(t.Context(), p.OldPath)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		var patch, sig bytes.Buffer
		r, err := dump.Run(t.Context(), v.Source(), &patch, dump.Options{Level: 1})
		if err == nil {
			err = os.WriteFile(path, patch.Bytes(), 0o600)
		}
		if err == nil {
			_, err = Make(t.Context(), Stored(stateOf(t, path)), &sig,
				Options{BlockSize: blockSize})
		}
		if err != nil {
			t.Fatal(err)
		}
		src, err := Open(t.Context(), p.NewPath, &sig)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { src.Close() })
		if got := src.Header.Base.Patch; got != r.Header.ID {
			t.Errorf("it follows %v, want %v", got, r.Header.ID)
		}
		return src
	})
}

// Of what nobody knows there is no hash.
func TestStoredLost(t *testing.T) {
	var patch bytes.Buffer
	w, err := format.NewWriter(&patch, format.Header{ID: uuid.New(), Kind: format.Full,
		VolumeSize: 1 << 20, Granularity: 512, RequiredFeatures: []string{format.LostSectors}},
		format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := w.NewSegment()
	for i := range int64(2) {
		s.Records = append(s.Records, format.Record{Lost: i == 1, Extent: format.Extent{
			Off: i << 19, Len: 1 << 19, Kind: format.Zero}})
	}
	if err = w.Write(s); err == nil {
		err = w.Close()
	}
	path := filepath.Join(t.TempDir(), "full")
	if err == nil {
		err = os.WriteFile(path, patch.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = Make(t.Context(), Stored(stateOf(t, path)), io.Discard, Options{BlockSize: 4096})
	if !errors.Is(err, volume.ErrLost) {
		t.Error(err)
	}
}

// A signature of a device names no patch.
func TestDeviceNamesNoPatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := sigfile.Verify(bytes.NewReader(signatureOf(t, path, 4096)))
	if err != nil || h.Patch != uuid.Nil {
		t.Errorf("%v, %v", h.Patch, err)
	}
}
