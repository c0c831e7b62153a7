package thick

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lvmsync/dump"
)

// What has no list that can be relied on is refused.
func TestRefusedSnapshots(t *testing.T) {
	table := func(s *shown, text string) {
		s.Device(s.nums["s"], "vg-s", fmt.Sprintf(text, s.real))
	}
	lv := func(s *shown, fields map[string]string) { s.LV("vg", "s", s.nums["s"], fields) }
	s, _ := partial(t)
	for name, tt := range map[string]struct {
		change func(s *shown)
		want   string
	}{
		"transient": {func(s *shown) { table(s, "0 8200 snapshot %s 4095:2 N 128") },
			"in memory only"},
		"discards passed down": {func(s *shown) {
			table(s, "0 8200 snapshot %s 4095:2 P 128 1 discard_passdown_origin")
		}, "passes discards down"},
		"a merge": {func(s *shown) { table(s, "0 8200 snapshot-merge %s 4095:2 P 128") },
			ErrMerging.Error()},
		"an origin": {func(s *shown) { table(s, "0 8200 snapshot-origin %s") },
			ErrNotSnapshot.Error()},
		"a thin volume": {func(s *shown) { table(s, "0 8200 thin %s 3") }, ErrNotSnapshot.Error()},
		"a merge that waits": {func(s *shown) { lv(s, map[string]string{"lv_merging": "1"}) },
			ErrMerging.Error()},
		"a merge that failed": {func(s *shown) { lv(s, map[string]string{"lv_merge_failed": "1"}) },
			"merging it failed"},
		"invalid, says LVM": {func(s *shown) {
			lv(s, map[string]string{"lv_snapshot_invalid": "1"})
		}, dump.ErrStoreFailed.Error()},
		"of an origin not here": {func(s *shown) {
			table(s, "0 8200 snapshot 4095:9%.0s 4095:2 P 128")
		}, "no active origin"},
		"unknown": {func(s *shown) { s.Status(s.nums["s"], 1, "0 8200 snapshot Unknown", "") },
			"doesn't tell"},
		"merge failed": {func(s *shown) {
			s.Status(s.nums["s"], 1, "0 8200 snapshot Merge failed", "")
		}, "merging it failed"},
		"larger than its origin": {func(s *shown) {
			table(s, "0 8208 snapshot %s "+s.stores["s"].String()+" P 128")
		}, "fewer than the snapshot"},
	} {
		t.Run(name, func(t *testing.T) {
			table(s, "0 8200 snapshot %s "+s.stores["s"].String()+" P 128")
			lv(s, nil)
			s.Status(s.nums["s"], 1, "0 8200 snapshot "+partialStatus, "")
			tt.change(s)
			src, err := Open(t.Context(), s.paths["s"])
			if err == nil {
				src.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// Only two snapshots of one origin have anything in common.
func TestRefusedPairs(t *testing.T) {
	s, c := partial(t)
	s.real = "4095:7" // from now on
	s.Device(s.Loop(image(t, partialSize)), "vg-o2", "0 8200 snapshot-origin "+s.real)
	s.add("other", partialSize, c.origin, c.cow, c.ChunkBytes, partialStatus)
	if src, err := OpenTo(t.Context(), s.paths["s"],
		s.paths["other"]); !errors.Is(err, ErrOtherOrigin) {
		t.Errorf("of different origins: %v", err)
		if err == nil {
			src.Close()
		}
	}
	if src, err := OpenTo(t.Context(), s.paths["s"], s.paths["s"]); err == nil {
		src.Close()
		t.Error("one and the same is taken for two")
	}
}
