package thick

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// A captured is a snapshot of a real kernel (testdata/cow/README.md).
type captured struct {
	Name       string
	ChunkBytes int64 `json:"chunk_bytes"`
	Valid      bool
	Snapshot   string `json:"snapshot_sha256"`
	Expected   struct {
		ChangedChunks [][2]int64 `json:"changed_chunks"` // first and count of each run
		ResultSHA256  string     `json:"result_sha256"`
	}
	base, cow, origin string // unpacked files
}

const capturedDir = "../../testdata/cow"

func capturedSnapshots(t *testing.T) []captured {
	t.Helper()
	all := listCaptured(t)
	for i := range all {
		all[i].unpack(t)
	}
	return all
}

func (c *captured) unpack(t *testing.T) {
	t.Helper()
	from, to := filepath.Join(capturedDir, c.Name), t.TempDir()
	c.base, c.cow, c.origin = unpack(t, from, to, "base.img"), unpack(t, from, to, "cow.img"),
		unpack(t, from, to, "origin.img")
}

// listCaptured lists them, not unpacked.
func listCaptured(t *testing.T) []captured {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(capturedDir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Cases []captured }
	if err := json.Unmarshal(b, &manifest); err != nil || len(manifest.Cases) == 0 {
		t.Fatalf("%d captured snapshots: %v", len(manifest.Cases), err)
	}
	return manifest.Cases
}

func unpack(t *testing.T, from, to, name string) string {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join(from, name+".zst"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := r.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(to, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
