package sigfile

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/internal/vectortest"
)

// TestGolden reads a signature that was written once and is never made anew.
func TestGolden(t *testing.T) {
	name := filepath.Join("../../testdata/golden", "signature.sig")
	h := Header{
		ID:      uuid.MustParse("0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a"),
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Tool: "lvmsync-patch",
		Source:     format.Source{Type: "device", Path: "/dev/vg/lv"},
		VolumeSize: 30*4096 - 7, BlockSize: 4096, Seed: 0x123456789abcdef0,
		Fingerprint: format.Fingerprint{{Offset: 4096, Hash: 0xfedcba9876543210}},
	}
	sig, tables := signTables(t, h, rand.New(rand.NewPCG(5, 0)), 20, 10)
	if *vectortest.Update {
		vectortest.Create(t, name, sig)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got, read, err := readTables(b)
	if err != nil || cmp.Diff(h, got) != "" || cmp.Diff(tables, read) != "" {
		t.Errorf("%v\n%s%s", err, cmp.Diff(h, got), cmp.Diff(tables, read))
	}
}
