package merge

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/internal/frame"
)

// A header that would be too long keeps all that tells what follows what: of the patches that it
// was merged of, of samples and of sources there are fewer.
func TestFit(t *testing.T) {
	var snapshots []string
	noted := make(map[string]uuid.UUID)
	m := format.Merged{First: &format.MergedPart{}}
	h := format.Header{Base: &format.Base{}, Merged: &m}
	for i := range 256 {
		id := uuid.UUID{15: byte(i + 1)}
		snapshots = append(snapshots, fmt.Sprintf("%06d-aaaa-bbbb-cccc-dddd-eeee-ffffff", i))
		noted[snapshots[i]] = id
		m.Patches = append(m.Patches, id)
		h.Base.Fingerprint = append(h.Base.Fingerprint,
			format.Sample{Offset: int64(i) << 36, Hash: 0xfedcba9876543210})
	}
	h.Source = format.Source{Snapshots: snapshots, Noted: noted}
	m.First.Source = &format.Source{Snapshots: snapshots}
	for i := range format.MaxMergedSources {
		m.Sources = append(m.Sources, format.MergedSource{Host: "host", Source: format.Source{
			Path: fmt.Sprint("/dev/", i), Storage: make([]format.Place, 8)}})
	}
	if err := fit(&h); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(h)
	if err != nil || len(text) > frame.MaxJSON {
		t.Errorf("%d bytes, limit %d: %v", len(text), frame.MaxJSON, err)
	}
	got := h.Merged
	if len(h.Source.Snapshots) != 256 || len(h.Source.Noted) != 256 ||
		len(got.First.Source.Snapshots) != 256 || len(h.Base.Fingerprint) < fewSamples ||
		len(got.Sources) == 0 || got.Sources[len(got.Sources)-1].Source.Path != "/dev/31" {
		t.Errorf("%d and %d snapshots, %d notes, %d samples, %d sources", len(h.Source.Snapshots),
			len(got.First.Source.Snapshots), len(h.Source.Noted), len(h.Base.Fingerprint),
			len(got.Sources))
	}
}
