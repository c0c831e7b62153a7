package walk

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

// lossy writes a patch that may have lost extents. What is of the kind Zero is lost.
func lossy(t *testing.T, extents ...format.Extent) *format.File {
	t.Helper()
	h := patchtest.Header(format.Delta, 64<<10)
	h.RequiredFeatures = []string{format.LostSectors}
	records := recordsOf(extents)
	for i := range records {
		records[i].Lost = records[i].Kind == format.Zero
	}
	return patchtest.Open(t, patchtest.Write(t, h, records))
}

// The parts of lost extents that no later patch has stay lost; what a later one has
// lost is.
func TestMergeLost(t *testing.T) {
	old := lossy(t, zero(0, 8192), data(8192, 4096), zero(16384, 512))
	middle := patchtest.Open(t, patchtest.Write(t, patchtest.Header(format.Delta, 64<<10),
		recordsOf([]format.Extent{data(2048, 1024), zero(4096, 512), zero(16384, 512)})))
	m := NewMerge(old, middle, lossy(t, zero(8192, 512)))
	s, err := m.Next()
	if err != nil {
		t.Fatal(err)
	}
	var lost, kept []format.Extent
	for _, r := range s.Records {
		if r.Lost {
			lost = append(lost, r.Extent)
		} else {
			kept = append(kept, r.Extent)
		}
	}
	if d := cmp.Diff([]format.Extent{zero(0, 2048), zero(3072, 1024), zero(4608, 3584),
		zero(8192, 512)}, lost); d != "" {
		t.Errorf("lost (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]format.Extent{data(2048, 1024), zero(4096, 512), data(8704, 3584),
		zero(16384, 512)}, kept); d != "" {
		t.Errorf("not lost (-want +got):\n%s", d)
	}
	if _, err := m.Next(); err != io.EOF {
		t.Errorf("then %v", err)
	}
}
