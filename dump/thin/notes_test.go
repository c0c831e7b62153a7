package thin

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/google/uuid"

	"lvmsync/dump"
)

// sends is all that a source sends, as data or zeros.
func (s *Changes) sends() *roaring64.Bitmap { return roaring64.Or(s.data, s.zero) }

// note notes what a source sends.
func (s *shown) note(src *Changes) *Changes {
	s.t.Helper()
	if _, err := src.NoteSent(s.t.Context(), nil); err != nil {
		s.t.Fatal(err)
	}
	return src
}

// wantAmong checks that some blocks are sent, of which there are any.
func wantAmong(t *testing.T, src *Changes, blocks *roaring64.Bitmap) {
	t.Helper()
	if left := roaring64.AndNot(blocks, src.sends()); !left.IsEmpty() || blocks.IsEmpty() {
		t.Errorf("of %v not sent: %v", blocks, left)
	}
}

// What one patch from a snapshot brings, as data or zeros, the next one brings, too, though both
// volumes map it alike.
func TestSentToOthers(t *testing.T) {
	s := showSeries(t)
	src, err := Open(t.Context(), s.paths["s1"])
	rehearsal := s.note(opened(t, src, err))
	if rehearsal.zero.IsEmpty() {
		t.Fatal("the test needs zeros")
	}
	for _, to := range []string{"s2", "s1a"} {
		src, err := OpenTo(t.Context(), s.paths["s1"], s.paths[to])
		wantAmong(t, opened(t, src, err), rehearsal.sends())
	}
}

// A full dump of a volume in use reads what that maps as late as at its end: all in which a
// snapshot differs from the volume then is sent from that snapshot to another one. If the volume
// isn't there any more, all is.
func TestSentAfterFull(t *testing.T) {
	s := showSeries(t)
	s.noteBefore("s1", &note{blocks: roaring64.New(),
		Full: []thinVolume{{"vg/o", "uuid-of-o", s.ids["o"], s.created("o")}}})
	src, err := Open(t.Context(), s.paths["s1"])
	forth := opened(t, src, err)
	src, err = OpenTo(t.Context(), s.paths["s1"], s.paths["s1a"])
	wantAmong(t, opened(t, src, err), forth.sends())
	if opened(t, src, err).SentUnknown() != nil || src.sends().Equals(src.all()) {
		t.Errorf("all is sent: %v", src.SentUnknown())
	}
	for name, tell := range map[string]func(){
		"merged into": func() { s.tell("o", 20512768, "", map[string]string{"thin_id": "17"}) },
		"removed": func() {
			s.tell("o", 20512768, "", map[string]string{"lv_uuid": "uuid-of-another"})
		},
	} {
		tell()
		src, err := OpenTo(t.Context(), s.paths["s1"], s.paths["s2"])
		if all := opened(t, src, err).all(); !src.sends().Equals(all) || src.SentUnknown() == nil {
			t.Errorf("%s: %v, sent %v", name, src.SentUnknown(), src.sends())
		}
	}
}

// While a volume is read that may be in use, nothing leads from its snapshots to anything but the
// volume.
func TestWhileFullRuns(t *testing.T) {
	s := showSeries(t)
	for name, open := range map[string]func() (*Changes, error){
		"full":       func() (*Changes, error) { return OpenFull(t.Context(), s.paths["o"]) },
		"comparison": func() (*Changes, error) { return OpenCompared(t.Context(), s.paths["o"]) },
	} {
		t.Run(name, func(t *testing.T) {
			noted := func() dump.Source {
				c, err := open()
				if err != nil {
					t.Fatal(err)
				}
				src, err := c.NoteSent(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				return src
			}
			first, second := noted(), noted()
			refused := func(why string) {
				t.Helper()
				_, to := OpenTo(t.Context(), s.paths["s1"], s.paths["s2"])
				_, back := OpenReverse(t.Context(), s.paths["s1"])
				for _, err := range []error{to, back} {
					if err == nil ||
						!strings.HasSuffix(err.Error(), ErrFullRuns.Error()+": it reads vg/o") {
						t.Errorf("%s: %v", why, err)
					}
				}
				src, err := Open(t.Context(), s.paths["s1"])
				opened(t, src, err)
				if _, err := src.NoteSent(t.Context(), nil); err != nil || src.info.Noted != nil {
					t.Errorf("%s: what leads to the volume is noted in %v, %v",
						why, src.info.Noted, err)
				}
			}
			refused("both run")
			first.Close()
			refused("one runs")
			second.Close()
			src, err := OpenTo(t.Context(), s.paths["s1"], s.paths["s2"])
			opened(t, src, err)
			if _, err := src.NoteSent(t.Context(), nil); err != nil || src.info.Noted == nil {
				t.Errorf("nothing runs: noted in %v, %v", src.info.Noted, err)
			}
			if left, _ := filepath.Glob(filepath.Join(lockDir, "reading-*")); left != nil {
				t.Errorf("left: %v", left)
			}
		})
	}
	rest, err := OpenFull(t.Context(), s.paths["s1a"]) // in use, and of s1 nobody reads
	opened(t, rest, err)
	src, err := OpenTo(t.Context(), s.paths["s1"], s.paths["s2"])
	opened(t, src, err)
}

// Damage that only a snapshot has is no matter of a full dump of the volume, nor of its other
// snapshots.
func TestSentDamagedSnapshot(t *testing.T) {
	s := showSeries(t)
	f, err := os.OpenFile(s.metadata, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found, undated := false, false
	for block := int64(1); block < 512 && !(found && undated); block++ {
		var b [4096]byte
		if _, err := f.ReadAt(b[:], block*4096); err != nil {
			break
		}
		damaged := b
		damaged[100] ^= 1
		if _, err := f.WriteAt(damaged[:], block*4096); err != nil {
			t.Fatal(err)
		}
		src, err := OpenFull(t.Context(), s.paths["o"])
		if err == nil && src.sent.left != nil {
			one := len(src.sent.beyond) > 0
			found, undated = found || one, undated || !one
			if _, err := src.NoteSent(t.Context(), nil); err == nil ||
				!strings.Contains(err.Error(), "thin volume") {
				t.Error(err)
			}
			if got := src.Source().Header.Source.Noted; len(got) != len(src.sent.beyond) {
				t.Errorf("noted for %v", got)
			}
		}
		if err == nil {
			src.Close()
		}
		if _, err := f.WriteAt(b[:], block*4096); err != nil {
			t.Fatal(err)
		}
	}
	if !found {
		t.Error("no block of the metadata is one snapshot's alone")
	}
	if !undated {
		t.Error("no block has only when volumes were made")
	}
}

// LVM is not asked while the pool is locked: all dumps of the pool would wait for it.
func TestAskedBefore(t *testing.T) {
	s := showSeries(t)
	s.noteBefore("s1", &note{blocks: roaring64.New(),
		Full: []thinVolume{{"vg/o", "uuid-of-o", s.ids["o"], s.created("o")}}})
	s.Before("lvs", fmt.Sprintf(
		`[ "$(tail -n 1 $d/dev/%s/told 2>/dev/null)" != reserved ] || touch $d/late`, s.pool))
	for name, open := range map[string]func() (*Changes, error){
		"full": func() (*Changes, error) { return OpenFull(t.Context(), s.paths["o"]) },
		"to": func() (*Changes, error) {
			return OpenTo(t.Context(), s.paths["s1"], s.paths["s1a"])
		},
		"forth":   func() (*Changes, error) { return Open(t.Context(), s.paths["s1"]) },
		"reverse": func() (*Changes, error) { return OpenReverse(t.Context(), s.paths["s1"]) },
	} {
		src, err := open()
		s.note(opened(t, src, err)).Close()
		if os.Remove(filepath.Join(s.Dir(), "late")) == nil {
			t.Errorf("%s: lvs was asked while a metadata snapshot was reserved", name)
		}
	}
}

// A note is found though the volume is in another group by now.
func TestNoteMoved(t *testing.T) {
	s := show(t)
	s.sentBefore(roaring64.BitmapOf(7))
	for _, name := range []string{"o", "s", "other"} {
		s.LV("vg", name, s.nums[name], map[string]string{"vg_uuid": "uuid-after-vgsplit",
			"segtype": "thin", "pool_lv": "pool", "lv_attr": "Vwi-a-tz--",
			"thin_id": fmt.Sprint(s.ids[name]), "origin": map[string]string{"s": "o"}[name],
			"origin_uuid": map[string]string{"s": "uuid-of-o"}[name]})
	}
	src, err := Open(t.Context(), s.paths["s"])
	wantAmong(t, opened(t, src, err), roaring64.BitmapOf(7))
	s.note(src)
	if n := s.noted("s"); n.Group != "uuid-after-vgsplit" {
		t.Errorf("noted of the group %s", n.Group)
	}
}

// Notes about volumes that are gone go, too, but not those about what is in another group, or in
// one that isn't there, or isn't LVM's; nor any if LVM can't tell of all groups.
func TestNotesTidied(t *testing.T) {
	s := show(t)
	s.LV("vg2", "moved", s.nums["other"], map[string]string{"thin_id": "3"})
	write := func(name, group string) {
		if _, err := changeNote(t.Context(), name, nil,
			&note{Group: group, blocks: roaring64.New()}); err != nil {
			t.Fatal(err)
		}
	}
	list := func() (names []string) {
		files, err := os.ReadDir(sentDir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			names = append(names, f.Name())
		}
		return names
	}
	own := s.noteName("s")
	stay := []string{own,
		"uuid-damaged.3", "uuid-of-moved.3", "uuid-of-usb-disk.3", "uuid-of-docker.3"}
	slices.Sort(stay)
	for i, open := range []func() (*Changes, error){
		func() (*Changes, error) { return OpenFull(t.Context(), s.paths["o"]) },
		func() (*Changes, error) { return Open(t.Context(), s.paths["s"]) },
	} {
		write("uuid-gone.3", "uuid-of-vg")
		write("uuid-of-moved.3", "uuid-of-vg")
		write("uuid-of-usb-disk.3", "uuid-of-another")
		write("uuid-of-docker.3", "")
		for _, name := range []string{"." + own + "12345", "uuid-damaged.3"} {
			if err := os.WriteFile(filepath.Join(sentDir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		src, err := open()
		s.note(opened(t, src, err))
		if got := list(); !slices.Equal(got, stay) {
			t.Errorf("%d: there are %v, want %v", i, got, stay)
		}
	}
	write("uuid-gone.3", "uuid-of-vg")
	s.Before("lvs", `case "$*" in *" -- "*) ;; *) exit 5 ;; esac`)
	src, err := OpenFull(t.Context(), s.paths["o"])
	s.note(opened(t, src, err))
	if !slices.Contains(list(), "uuid-gone.3") {
		t.Error("a note was removed though not all groups are known")
	}
}

// LVM gives an id again, and after two merges a volume may have the UUID and the id that another
// content had: when that was created tells them apart.
func TestNoteOfReusedID(t *testing.T) {
	s := showSeries(t)
	earlier := noteNameOf("uuid-of-s1", s.ids["s1"], s.created("s1")-1)
	other := &note{blocks: roaring64.New(), Dumps: []noted{{ID: uuid.New()}}}
	if _, err := changeNote(t.Context(), earlier, nil, other); err != nil {
		t.Fatal(err)
	}
	src, err := OpenTo(t.Context(), s.paths["s1"], s.paths["s1a"])
	s.note(opened(t, src, err))
	if got := src.Source().Header.Source; got.NotedBefore != nil {
		t.Errorf("what was noted of another volume is told of: %v", got.NotedBefore)
	}
	if n := s.noted("s1"); len(n.Dumps) != 1 {
		t.Errorf("the note has %v", n.Dumps)
	}
	gone := thinVolume{"vg/o", "uuid-of-o", s.ids["o"], s.created("o") + 1}
	s.noteBefore("s1", &note{blocks: roaring64.New(), Full: []thinVolume{gone}})
	src, err = OpenTo(t.Context(), s.paths["s1"], s.paths["s1a"])
	if all := opened(t, src, err).all(); !src.sends().Equals(all) || src.SentUnknown() == nil {
		t.Errorf("the volume that was read is gone: %v, sent %v", src.SentUnknown(), src.sends())
	}
}
