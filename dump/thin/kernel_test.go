package thin

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/format"
)

const volumeBlocks = (volumeSize + poolBlock - 1) / poolBlock

// Each way to open a volume sends what it says, and the header names that.
func TestWaysToOpen(t *testing.T) {
	s := show(t)
	and, not := roaring64.And, roaring64.AndNot
	o, snap, all := s.mapped["o"], s.mapped["s"], span(0, volumeBlocks)
	created := "2026-11-26 04:06:47 +0000 UTC"
	for name, tt := range map[string]struct {
		open                  func(context.Context) (*Changes, error)
		data, zero            *roaring64.Bitmap
		kind                  format.Kind
		base, state           string
		baseDated             bool
		lv, snapshot          string
		still, read, compared string // volumes
	}{
		"forth": {func(ctx context.Context) (*Changes, error) { return Open(ctx, s.paths["s"]) },
			and(s.changed, o), not(s.changed, o), format.Delta, "uuid-of-s", "", true,
			"o", "s", "s", "o", "s"},
		"reverse": {func(ctx context.Context) (*Changes, error) {
			return OpenReverse(ctx, s.paths["s"])
		}, and(s.changed, snap), not(s.changed, snap), format.Delta, "", "uuid-of-s", false,
			"o", "s", "s", "s", "o"},
		"snapshot to origin": {func(ctx context.Context) (*Changes, error) {
			return OpenTo(ctx, s.paths["s"], s.paths["o"])
		}, and(s.changed, o), not(s.changed, o), format.Delta, "uuid-of-s", "", true,
			"o", "s", "o", "o", "s"},
		"origin to snapshot": {func(ctx context.Context) (*Changes, error) {
			return OpenTo(ctx, s.paths["o"], s.paths["s"])
		}, and(s.changed, snap), not(s.changed, snap), format.Delta, "", "uuid-of-s", false,
			"o", "", "s", "s", "o"},
		"snapshot to another volume": {func(ctx context.Context) (*Changes, error) {
			return OpenTo(ctx, s.paths["s"], s.paths["other"])
		}, nil, nil, format.Delta, "uuid-of-s", "", false, "s", "s", "other", "other", "s"},
		"full": {func(ctx context.Context) (*Changes, error) { return OpenFull(ctx, s.paths["o"]) },
			o, not(all, o), format.Full, "", "", false, "o", "", "", "o", ""},
		"full of a snapshot in use": {func(ctx context.Context) (*Changes, error) {
			return OpenFull(ctx, s.paths["s"])
		}, snap, not(all, snap), format.Full, "", "", false, "s", "", "", "s", ""},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := tt.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			s.checkReleased(t)
			if tt.data != nil {
				s.checkBlocks(t, src, tt.data, tt.zero)
			}
			h := src.Source().Header
			base, state := format.Base{}, format.State{}
			if h.Base != nil {
				base = *h.Base
			}
			if h.State != nil {
				state = *h.State
			}
			if h.Kind != tt.kind || base.Snapshot != tt.base || state.Snapshot != tt.state {
				t.Errorf("a %s patch from %q to %q, want a %s from %q to %q",
					h.Kind, base.Snapshot, state.Snapshot, tt.kind, tt.base, tt.state)
			}
			if dated := base.SnapshotCreated.String() == created; dated != tt.baseDated {
				t.Errorf("the base was made %v", base.SnapshotCreated)
			}
			if in := h.Source; in.LV != tt.lv || in.Snapshot != tt.snapshot || in.Type != "thin" {
				t.Errorf("the source is %+v", in)
			}
			snapshots := map[string][]string{"o": {"uuid-of-s"}, "s": {}}[tt.lv]
			if got := h.Source.Snapshots; got == nil || !slices.Equal(got, snapshots) {
				t.Errorf("the snapshots of the volume are %#v, want %v", got, snapshots)
			}
			if src.new.name != s.paths[tt.read] || (src.still == nil) != (tt.still == "") ||
				src.still != nil && src.still.name != s.paths[tt.still] {
				t.Error("another volume is read, or taken for still")
			}
			if (src.Source().Base == nil) != (tt.compared == "") ||
				src.Source().Base != nil && src.old.name != s.paths[tt.compared] {
				t.Error("another volume is compared with")
			}
			if v := src.Source(); (v.Unchanged == nil) != (tt.still == "") ||
				v.Unchanged != nil && v.Unchanged != src.still.file || v.Data != src.new.file ||
				v.SectorSize != src.new.file.LogicalBlockSize() {
				t.Errorf("a source of %+v", v)
			}
			if err := src.Source().Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// What a volume has past the end of another one is sent from the block on in which that ends,
// mapped or not.
func TestGrownVolume(t *testing.T) {
	s := show(t)
	for name, size := range map[string]int64{
		"at a block":            100 * poolBlock,
		"within a block":        100*poolBlock + 512,
		"before the end of one": 101*poolBlock - 512,
	} {
		t.Run(name, func(t *testing.T) {
			s.nums["s"] = s.Loop(s.file(size))
			s.tell("s", size, "", ofOrigin)
			src, err := Open(t.Context(), s.paths["s"])
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			sent := roaring64.Or(s.changed, span(100, volumeBlocks))
			s.checkBlocks(t, src, roaring64.And(sent, s.mapped["o"]),
				roaring64.AndNot(sent, s.mapped["o"]))
			back, err := OpenReverse(t.Context(), s.paths["s"])
			if err != nil {
				t.Fatal(err)
			}
			defer back.Close()
			end := int64(0)
			for e := range back.extents() {
				end = e.End()
			}
			if end > size {
				t.Errorf("the way back goes to byte %d of %d", end, size)
			}
		})
	}
}

// What two volumes leave unmapped is data as far as it is read from outside the pool, and may not
// be the same for both.
func TestExternalOrigins(t *testing.T) {
	const small, large = 3*poolBlock + 512, 20 * poolBlock
	s := show(t)
	for name, tt := range map[string]struct {
		from, to func(s *shown) string // the external origin
		apart    uint64                // blocks that are sent, mapped or not
		covered  uint64                // blocks of them that are data
	}{
		"neither has one": {nil, nil, 0, 0},
		"the old one": {func(s *shown) string { return s.external("e", small, true).String() },
			nil, 4, 0},
		"the new one": {nil,
			func(s *shown) string { return s.external("e", small, true).String() }, 4, 4},
		"different ones": {func(s *shown) string { return s.external("e", large, true).String() },
			func(s *shown) string { return s.external("f", small, true).String() }, 20, 4},
		"different ones, the larger new": {
			func(s *shown) string { return s.external("e", small, true).String() },
			func(s *shown) string { return s.external("f", large, true).String() }, 20, 20},
	} {
		t.Run(name, func(t *testing.T) {
			s.reset()
			for volume, external := range map[string]func(*shown) string{"o": tt.from, "s": tt.to} {
				if external != nil {
					s.tell(volume, volumeSize, external(s),
						map[string]string{"origin": "e", "origin_uuid": "uuid-of-e"})
				}
			}
			s.checkExternal(t, tt.apart, tt.covered)
		})
	}
	for readOnly, apart := range map[bool]uint64{true: 0, false: 20} {
		t.Run(fmt.Sprint("one for both, read-only: ", readOnly), func(t *testing.T) {
			s.reset()
			external := s.external("e", large, readOnly).String()
			for _, volume := range []string{"o", "s"} {
				s.tell(volume, volumeSize, external,
					map[string]string{"origin": "e", "origin_uuid": "uuid-of-e"})
			}
			s.checkExternal(t, apart, 20)
		})
	}
}

// checkExternal checks what leads from o to s.
func (s *shown) checkExternal(t *testing.T, apart, covered uint64) {
	t.Helper()
	src, err := OpenTo(t.Context(), s.paths["o"], s.paths["s"])
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	mapped := s.mapped["s"]
	sent := roaring64.Or(s.changed, roaring64.AndNot(span(0, apart), mapped))
	data := roaring64.Or(roaring64.And(sent, mapped), roaring64.And(sent, span(0, covered)))
	s.checkBlocks(t, src, data, roaring64.AndNot(sent, data))

	// What was sent before is sent as one or the other.
	defer os.Remove(s.noteBefore("o", &note{blocks: span(0, 20)}))
	again, err := OpenTo(t.Context(), s.paths["o"], s.paths["s"])
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if both := roaring64.And(again.data, again.zero); !both.IsEmpty() ||
		!roaring64.AndNot(span(0, 20), roaring64.Or(again.data, again.zero)).IsEmpty() {
		t.Errorf("sent twice: %v; data %v, zeros %v", both, again.data, again.zero)
	}
}

// Inputs are all that is read and that anybody may write to, and what is taken for still is said to
// be.
func TestInputs(t *testing.T) {
	s := show(t)
	external := s.external("e", poolBlock, false)
	s.tell("s", volumeSize, external.String(), ofOrigin)
	for i, want := range []map[string]bool{
		{filepath.Base(external.Path()): false, "o": false, "s": true},
		{"o": false, "s": true},
	} {
		readOnly := i == 1
		if readOnly {
			s.ReadOnly(external)
		}
		for name, open := range map[string]func(context.Context, string) (*Changes, error){
			"forth": Open, "reverse": OpenReverse,
		} {
			src, err := open(t.Context(), "vg/s")
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			still := map[string]bool{}
			for _, in := range src.Source().Inputs {
				still[filepath.Base(in.Name())] = in.Still
			}
			if !maps.Equal(still, want) {
				t.Errorf("%s, read-only %v: %v, want %v", name, readOnly, still, want)
			}
		}
	}
}
