package format

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// partText is a merged.first or merged.last that is right but for its size.
func partText(size int) string {
	return fmt.Sprintf(`{"id":"1b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a","kind":"delta",`+
		`"volume_size":%d}`, size)
}

// ids is a text of n UUIDs, none of which is of zeros.
func ids(n int) string {
	var text []string
	for i := range n {
		text = append(text, fmt.Sprintf(`"1b54d3c2-5a8e-4f5e-9d3c-%012x"`, i))
	}
	return "[" + strings.Join(text, ",") + "]"
}

// mergedVectors break what is demanded of the header of a merged patch.
var mergedVectors = []vector{
	{name: "merged-array", expect: "corrupt header", why: "merged is an array",
		edit: member(`"merged":[]`)},
	{name: "merged-many", expect: "corrupt header", why: "merged.patches has 257 ids",
		edit: member(`"merged":{"patches":` + ids(MaxMerged+1) + `}`)},
	{name: "merged-zeros", expect: "corrupt header", why: "an id of merged.patches is all zeros",
		edit: member(`"merged":{"patches":["` + uuid.Nil.String() + `"]}`)},
	{name: "merged-first-array", expect: "corrupt header", why: "merged.first is an array",
		edit: member(`"merged":{"patches":[],"first":[]}`)},
	{name: "merged-first-empty", expect: "corrupt header", why: "merged.first has no id",
		edit: member(`"merged":{"patches":[],"first":{}}`)},
	{name: "merged-last-size", expect: "corrupt header",
		why: "merged.last.volume_size is 0", edit: member(`"merged":{"last":` + partText(0) + `}`)},
	{name: "merged-last-larger", expect: "corrupt header",
		why:  "merged.last.volume_size is larger than volume_size",
		edit: member(`"merged":{"last":` + partText(1<<30) + `}`)},
	{name: "merged-last-uptime", expect: "corrupt header", why: "merged.last.uptime_ms is negative",
		edit: member(`"merged":{"last":` + strings.Replace(partText(512), "{", `{"uptime_ms":-1,`,
			1) + `}`)},
	{name: "merged-last-seed", expect: "corrupt header",
		why: "merged.last.base.hash_seed is a number",
		edit: member(`"merged":{"last":` + strings.Replace(partText(512), "{",
			`{"base":{"exact":true,"hash_seed":5},`, 1) + `}`)},
	{name: "merged-sources-many", expect: "corrupt header", why: "merged.sources has 33 objects",
		edit: member(`"merged":{"sources":[` + strings.Repeat(`{},`, MaxMergedSources) + `{}]}`)},
	{name: "merged-sources-place", expect: "corrupt header",
		why:  "a place in merged.sources has no id",
		edit: member(`"merged":{"sources":[{"source":{"storage":[{"offset":0,"length":1}]}}]}`)},
	{name: "state-many", expect: "corrupt header", why: "state.patches has 65 ids",
		edit: member(`"state":{"snapshot":"s","patches":` + ids(MaxStatePatches+1) + `}`)},
	{name: "state-zeros", expect: "corrupt header", why: "an id of state.patches is all zeros",
		edit: member(`"state":{"snapshot":"s","patches":["` + uuid.Nil.String() + `"]}`)},
}

var (
	mergedOne  = uuid.MustParse("1b54d3c2-5a8e-4f5e-9d3c-000000000001")
	mergedTwo  = uuid.MustParse("1b54d3c2-5a8e-4f5e-9d3c-000000000002")
	mergedDate = time.Date(2026, 1, 1, 3, 4, 5, 0, time.UTC)
)

// mergedHeader is that of two deltas, the second of a smaller volume.
func mergedHeader() Header {
	h := testHeader(Delta, 64<<10)
	h.Base = &Base{Exact: true, Snapshot: "before",
		Fingerprint: Fingerprint{{Offset: 32 << 10, Hash: 0x1234}}}
	h.State = &State{Snapshot: "after", Patch: mergedTwo, Patches: []uuid.UUID{mergedOne}}
	h.Merged = &Merged{Patches: []uuid.UUID{mergedOne, mergedTwo}, HashesEnd: true,
		First: &MergedPart{ID: mergedOne, Kind: Delta, Created: mergedDate, Host: "first",
			Source: &Source{Type: "device", Path: "/dev/vg/first"}, VolumeSize: 64 << 10,
			State: &State{Snapshot: "between"}},
		Last: &MergedPart{ID: mergedTwo, Kind: Delta, Created: h.Created, Uptime: 7,
			VolumeSize: 48 << 10, Base: &Base{Exact: true, Snapshot: "between"}}}
	return h
}

func init() {
	goldenPatches["delta-merged"] = func(t testing.TB) []byte {
		return write(t, mergedHeader(), WriterOptions{Level: 1},
			[]Extent{{512, 1024, Data}, {2048, 512, Zero}})
	}
	goldenPatches["full-merged"] = func(t testing.TB) []byte {
		h := mergedHeader()
		h.Kind, h.Base, h.Merged.First, h.Merged.HashesEnd = Full, nil, nil, false
		return write(t, h, WriterOptions{Level: 1},
			[]Extent{{0, 1024, Data}, {1024, 63 << 10, Zero}})
	}
}

// A merged patch is at its beginning what its first one was, at its end what the last one was.
func TestMergedGolden(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(goldenDir, "delta-merged.lvmpatch"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(strings.NewReader(string(b)), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	h := f.Header()
	first, last := h.First(), h.Last()
	if first.ID != mergedOne || first.Host != "first" || first.Source.Path != "/dev/vg/first" ||
		first.State.Snapshot != "between" || first.Base.Snapshot != "before" ||
		first.VolumeSize != 64<<10 || !first.Created.Equal(mergedDate) {
		t.Errorf("first: %+v", first)
	}
	if last.ID != mergedTwo || last.Host != "example" || last.Source.Path != "/dev/vg/lv" ||
		last.State.Snapshot != "after" || !last.State.Leads(h.ID) || !last.State.Leads(mergedOne) ||
		last.Base.Snapshot != "between" || last.VolumeSize != 48<<10 || last.Source.Uptime != 7 {
		t.Errorf("last: %+v", last)
	}
	if !h.Merged.HashesEnd || len(h.Merged.Patches) != 2 {
		t.Errorf("merged: %+v", h.Merged)
	}
}
