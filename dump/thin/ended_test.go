package thin

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/google/uuid"
)

// What a dump of a volume in use has read is durable before the dump ends: after a power cut the
// volume would hold less than the copy, and nothing would tell.
func TestReadIsDurable(t *testing.T) {
	s := show(t)
	backing, err := os.ReadFile("/sys/dev/block/" + s.nums["o"].String() + "/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	file := strings.TrimSpace(string(backing))
	for i, open := range []func() (*Changes, error){
		func() (*Changes, error) { return OpenFull(t.Context(), s.paths["o"]) },
		func() (*Changes, error) { return OpenCompared(t.Context(), s.paths["o"]) },
	} {
		src, err := open()
		opened(t, src, err)
		late := bytes.Repeat([]byte{byte('a' + i)}, 4096)
		dev, err := os.OpenFile(s.nums["o"].Path(), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		if _, err := dev.Write(late); err != nil {
			t.Fatal(err)
		}
		if err := src.Source().Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(got, late) {
			t.Errorf("%d: %v: what was read late is in memory alone", i, err)
		}
	}
}

// What a patch to a snapshot brings is noted for patches from that, too, and of a comparison of a
// snapshot in use all that this may get until it's read.
func TestSentOfReached(t *testing.T) {
	s := showSeries(t)
	src, err := OpenTo(t.Context(), s.paths["s1"], s.paths["s1a"])
	s.note(opened(t, src, err))
	n, got := s.noted("s1a"), src.Source().Header.Source.Noted
	want := map[string]uuid.UUID{"uuid-of-s1a": n.last(), "uuid-of-s1": s.noted("s1").last()}
	if !n.blocks.Equals(src.sends()) || n.blocks.IsEmpty() || !maps.Equal(got, want) {
		t.Errorf("noted %v, the header has %v", n, got)
	}
	src, err = Open(t.Context(), s.paths["s1a"])
	s.note(opened(t, src, err))
	if left := roaring64.AndNot(src.sends(), s.noted("s1").blocks); !left.IsEmpty() ||
		src.sends().IsEmpty() {
		t.Errorf("of a snapshot's origin that is one itself, not noted: %v", left)
	}
	src, err = OpenCompared(t.Context(), s.paths["s1a"])
	s.note(opened(t, src, err))
	mapped, err := s.captured.Mapped(t.Context(), s.ids["s1a"])
	if err != nil {
		t.Fatal(err)
	}
	left := roaring64.AndNot(roaring64.AndNot(src.all(), mapped), s.noted("s1a").blocks)
	if !left.IsEmpty() {
		t.Errorf("not noted: %v", left)
	}
}

// Which snapshots a volume has that isn't LVM's nobody tells: that nothing is noted for them is
// said.
func TestSentOfOthers(t *testing.T) {
	s := show(t)
	s.Device(s.nums["o"], "plain",
		fmt.Sprintf("0 %d thin %s %d", volumeSize/512, s.pool, s.ids["o"]))
	for name, open := range map[string]func() (*Changes, error){
		"full": func() (*Changes, error) { return OpenFull(t.Context(), s.nums["o"].Path()) },
		"comparison": func() (*Changes, error) {
			return OpenCompared(t.Context(), s.nums["o"].Path())
		},
	} {
		src, err := open()
		opened(t, src, err)
		if src.new.lv != nil {
			t.Fatal("the test needs a volume that isn't LVM's")
		}
		if _, err := src.NoteSent(t.Context(), nil); !errors.Is(err, ErrNotNoted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Of a volume that is no snapshot no note is told of.
func TestSentFromVolume(t *testing.T) {
	s := showSeries(t)
	src, err := OpenTo(t.Context(), s.paths["o"], s.paths["s1"])
	s.note(opened(t, src, err))
	if got := src.Source().Header.Source; len(got.Noted) != 1 ||
		got.Noted["uuid-of-s1"] != s.noted("s1").last() || got.NotedBefore != nil {
		t.Errorf("the header has %v, %v", got.Noted, got.NotedBefore)
	}
}

// If LVM can't be asked, it isn't said that a volume is gone.
func TestSentUnasked(t *testing.T) {
	s := showSeries(t)
	read := thinVolume{"vg/s2", "uuid-of-s2", s.ids["s2"], s.created("s2")}
	s.noteBefore("s1", &note{Full: []thinVolume{read}, blocks: roaring64.New()})
	s.Before("lvs", `case "$*" in *thin_id*) exit 5 ;; esac`)
	src, err := Open(t.Context(), s.paths["s1"])
	why := opened(t, src, err).SentUnknown()
	if why == nil || !strings.HasPrefix(why.Error(), "whether vg/s2") {
		t.Error(why)
	}
}

// If another dump was quicker, what the pool tells when it's asked again is looked at before it's
// noted: it may be other than what was looked at first.
func TestSentLookedAtAgain(t *testing.T) {
	s := show(t)
	src, err := Open(t.Context(), s.paths["s"])
	opened(t, src, err)
	damaged, path := []byte("damaged"), s.sentBefore(roaring64.BitmapOf(7))
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	refused, looks := errors.New("refused"), 0
	look := func() error {
		looks++
		if src.SentUnknown() == nil {
			t.Error("nothing is said of the damaged note")
		}
		return refused
	}
	if _, err := src.NoteSent(t.Context(), look); !errors.Is(err, refused) || looks != 1 {
		t.Errorf("looked at %d times: %v", looks, err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, damaged) {
		t.Errorf("%v: noted all the same: %q", err, got)
	}
	if _, err := src.NoteSent(t.Context(), look); err != nil || looks != 1 {
		t.Errorf("looked at %d times though nothing was asked again: %v", looks, err)
	}
}

// Where the notes can't be looked for, it isn't known what was sent: all of the volume is.
func TestSentHidden(t *testing.T) {
	s := show(t)
	if err := os.WriteFile(sentDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := Open(t.Context(), s.paths["s"])
	if opened(t, src, err).SentUnknown() == nil || !src.sends().Equals(src.all()) {
		t.Errorf("%v, sent %v", src.SentUnknown(), src.sends())
	}
}

// A note of a version that didn't tell volumes of one UUID and id apart may be about any of them.
func TestSentEarlierVersion(t *testing.T) {
	s := show(t)
	name := fmt.Sprintf("uuid-of-s.%d", s.ids["s"])
	if _, err := changeNote(t.Context(), name, nil, newNote(name)); err != nil {
		t.Fatal(err)
	}
	src, err := Open(t.Context(), s.paths["s"])
	opened(t, src, err)
	if err := src.SentUnknown(); err == nil || !strings.HasSuffix(err.Error(), "earlier version") ||
		!src.sends().Equals(src.all()) {
		t.Errorf("%v, sent %v", err, src.sends())
	}
}

// A volume that a note says was read is just being read: what its end brings isn't known yet, even
// if the base isn't a snapshot of it any more.
func TestWhileNotedRuns(t *testing.T) {
	s := showSeries(t)
	read := thinVolume{"vg/s2", "uuid-of-s2", s.ids["s2"], s.created("s2")}
	s.noteBefore("s1", &note{Full: []thinVolume{read}, blocks: roaring64.New()})
	full, err := OpenFull(t.Context(), s.paths["s2"])
	opened(t, full, err)
	_, err = OpenTo(t.Context(), s.paths["s1"], s.paths["s1a"])
	if !errors.Is(err, ErrFullRuns) || !strings.HasSuffix(err.Error(), "it reads vg/s2") {
		t.Error(err)
	}
}
