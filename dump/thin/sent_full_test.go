package thin

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// What a full dump of a volume in use sends is noted for patches from its snapshots, as far as
// those map it otherwise, and that it was read.
func TestSentOfFull(t *testing.T) {
	s := show(t)
	full, err := OpenFull(t.Context(), s.paths["o"])
	opened(t, full, err)
	src, err := full.NoteSent(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := s.noted("s")
	if !n.blocks.Equals(s.changed) ||
		!slices.Equal(n.Full, []thinVolume{{"vg/o", "uuid-of-o", s.ids["o"], s.created("o")}}) {
		t.Errorf("noted %v %v, want %v", n.blocks, n.Full, s.changed)
	}
	if got := src.Header.Source; got.Noted["uuid-of-s"] != n.last() || len(got.Noted) != 1 ||
		got.Snapshots == nil {
		t.Errorf("the header has %v %v", got.Noted, got.Snapshots)
	}

	// If that can't be noted, or LVM doesn't tell of them any more, the header says so.
	sentDir = "/dev/null/sent"
	src, err = full.NoteSent(t.Context(), nil)
	if got := src.Header.Source; !errors.Is(err, ErrNotNoted) || got.Noted != nil ||
		got.Snapshots != nil || got.LV != "o" {
		t.Errorf("%v, %v", err, got)
	}
	s.Before("lvs", `case "$*" in *thin_id*) [ ! -e $d/asked ] || exit 5; touch $d/asked ;; esac`)
	unlisted, err := OpenFull(t.Context(), s.paths["o"])
	opened(t, unlisted, err)
	src, err = unlisted.NoteSent(t.Context(), nil)
	if got := src.Header.Source; !errors.Is(err, ErrNotNoted) || got.Noted != nil ||
		got.Snapshots != nil || got.LV != "o" {
		t.Errorf("%v, %v", err, got)
	}
}

// What a full dump of a snapshot sends of what its origin doesn't map is noted for patches from it:
// it may be discarded there.
func TestSentOfSnapshot(t *testing.T) {
	s := show(t)
	for _, attr := range []string{"Vri-a-tz--", "Vwi-a-tz--"} { // at rest or not
		s.tell("s", volumeSize, "",
			map[string]string{"origin": "o", "origin_uuid": "uuid-of-o", "lv_attr": attr})
		full, err := OpenFull(t.Context(), s.paths["s"])
		opened(t, full, err)
		if _, err := full.NoteSent(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		n := s.noted("s")
		if want := roaring64.And(s.changed, s.mapped["s"]); !n.blocks.Equals(want) ||
			want.IsEmpty() || n.Full != nil {
			t.Errorf("%s: noted %v %v, want %v", attr, n.blocks, n.Full, want)
		}
		if got := full.Source().Header.Source.Noted["uuid-of-s"]; got != n.last() {
			t.Errorf("%s: the header has %v, want %v", attr, got, n.last())
		}
		full.Close()
		if err := os.Remove(filepath.Join(sentDir, n.Name)); err != nil {
			t.Fatal(err)
		}
	}
}

// What compares all of a volume with something else may send what was written there until it reads
// it: all that a snapshot doesn't map is noted.
func TestSentOfComparison(t *testing.T) {
	s := show(t)
	src, err := OpenCompared(t.Context(), s.paths["o"])
	opened(t, src, err)
	if _, err := src.NoteSent(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	n, want := s.noted("s"), roaring64.AndNot(src.all(), roaring64.AndNot(s.mapped["s"], s.changed))
	if !n.blocks.Equals(want) || len(n.Full) != 1 || src.info.Noted["uuid-of-s"] != n.last() {
		t.Errorf("noted %v %v, want %v", n.blocks, n.Full, want)
	}
}
