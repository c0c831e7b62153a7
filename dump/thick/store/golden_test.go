package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const goldenDir = "../../../testdata/cow"

// goldenCase is the part of a manifest entry that matters here; testdata/cow/README.md explains the
// rest.
type goldenCase struct {
	Name        string
	ChunkBytes  int64 `json:"chunk_bytes"`
	OriginBytes int64 `json:"origin_bytes"`
	Valid       bool
	Cow         struct {
		File   string
		Bytes  int64
		SHA256 string
	}
	Status   string `json:"dmsetup_status"`
	Expected struct {
		Exceptions    uint64
		ChangedChunks [][2]uint64 `json:"changed_chunks"`
	}
}

func goldenCases(t testing.TB) []goldenCase {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(goldenDir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Cases []goldenCase }
	if err := json.Unmarshal(b, &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Cases) == 0 {
		t.Fatal("no golden case found")
	}
	return manifest.Cases
}

// golden returns the COW device of a case.
func golden(t testing.TB, name string) (goldenCase, []byte) {
	t.Helper()
	for _, c := range goldenCases(t) {
		if c.Name == name {
			return c, c.store(t)
		}
	}
	t.Fatalf("no golden case %q", name)
	return goldenCase{}, nil
}

func (c goldenCase) store(t testing.TB) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join(goldenDir, c.Cow.File))
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b, err := d.DecodeAll(packed, nil)
	if err != nil {
		t.Fatalf("unpack %s: %v", c.Cow.File, err)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != c.Cow.SHA256 ||
		int64(len(b)) != c.Cow.Bytes {
		t.Fatalf("%s is not the file of the manifest", c.Cow.File)
	}
	return b
}

func TestGolden(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			b := c.store(t)
			s, err := Open(bytes.NewReader(b), int64(len(b)))
			if !c.Valid {
				if !errors.Is(err, ErrInvalid) {
					t.Fatalf("Open: %v, want ErrInvalid", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.ChunkSize() != c.ChunkBytes {
				t.Errorf("chunk size %d, want %d", s.ChunkSize(), c.ChunkBytes)
			}
			for _, areas := range readCounts {
				set := mustRead(t, s, c.OriginBytes, areas)
				wantChunks(t, set, c.Expected.ChangedChunks...)
				if n := c.statusExceptions(t); set.GetCardinality() != n ||
					n != c.Expected.Exceptions {
					t.Errorf("%d exceptions, the kernel counted %d", set.GetCardinality(), n)
				}
			}
			if err := s.CheckValid(); err != nil {
				t.Errorf("CheckValid: %v", err)
			}
		})
	}
}

// statusExceptions returns the number of exceptions that the kernel itself reported.
func (c goldenCase) statusExceptions(t *testing.T) uint64 {
	t.Helper()
	var start, length, allocated, total, metadata uint64
	if _, err := fmt.Sscanf(c.Status, "%d %d snapshot %d/%d %d", &start, &length, &allocated,
		&total, &metadata); err != nil {
		t.Fatalf("status %q: %v", c.Status, err)
	}
	return (allocated - metadata) * sectorBytes / uint64(c.ChunkBytes)
}
