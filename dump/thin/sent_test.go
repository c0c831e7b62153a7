package thin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// sentBefore is the note about what was sent from the snapshot s of the captured pool.
func (s *shown) sentBefore(blocks *roaring64.Bitmap) string {
	s.t.Helper()
	src, err := Open(s.t.Context(), s.paths["s"])
	if err != nil {
		s.t.Fatal(err)
	}
	defer src.Close()
	if err := src.sent.add(blocks); err != nil {
		s.t.Fatal(err)
	}
	return src.sent.path
}

// What a dump has sent, those after it send, too, though neither volume maps it: as data, for it may be mapped by both.
func TestSentAgain(t *testing.T) {
	s := show(t)
	unmapped := roaring64.AndNot(span(0, volumeSize/poolBlock), roaring64.Or(s.mapped["o"], s.mapped["s"]))
	again := roaring64.BitmapOf(unmapped.Minimum(), unmapped.Maximum(), roaring64.And(s.mapped["o"], s.mapped["s"]).Minimum())
	s.sentBefore(roaring64.Or(again, span(1<<20, 1<<20+9))) // the volume was larger then
	for _, way := range []struct {
		name string
		open func() (*Source, error)
		data *roaring64.Bitmap
	}{
		{"forth", func() (*Source, error) { return Open(t.Context(), s.paths["s"]) }, s.mapped["o"]},
		{"back", func() (*Source, error) { return OpenReverse(t.Context(), s.paths["s"]) }, s.mapped["s"]},
		{"to another", func() (*Source, error) { return OpenTo(t.Context(), s.paths["s"], s.paths["o"]) }, s.mapped["o"]},
	} {
		src, err := way.open()
		if err != nil {
			t.Fatal(way.name, err)
		}
		want := roaring64.Or(roaring64.And(s.changed, way.data), again)
		s.checkBlocks(t, src, want, roaring64.AndNot(s.changed, way.data))
		if src.SentUnknown() != nil {
			t.Error(way.name, src.SentUnknown())
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What is sent is noted, with what was sent before; a dump that sends nothing notes nothing.
func TestSentNoted(t *testing.T) {
	s := show(t)
	path := s.sentBefore(roaring64.BitmapOf(7))
	open := func(note bool) *Source {
		src, err := Open(t.Context(), s.paths["s"])
		if err != nil {
			t.Fatal(err)
		}
		if note {
			if err := src.NoteSent(t.Context()); err != nil {
				t.Error(err)
			}
		}
		return src
	}
	open(false).Close()
	if blocks, err := readSent(path); err != nil || !blocks.Equals(roaring64.BitmapOf(7)) {
		t.Errorf("a dry run left %v, %v", blocks, err)
	}
	first, second := open(false), open(true) // at once, and the first one is the later to note
	defer first.Close()
	defer second.Close()
	last := span(volumeSize/poolBlock-1, volumeSize/poolBlock)
	if err := second.sent.add(last); err != nil { // as if it had sent something that is discarded by now
		t.Fatal(err)
	}
	if err := first.NoteSent(t.Context()); err != nil {
		t.Error(err)
	}
	if !roaring64.And(first.data, last).Equals(last) || first.runs == 0 {
		t.Errorf("what the other one has sent is not in it: %v", first.data)
	}
	if blocks, err := readSent(path); err != nil || !blocks.Equals(roaring64.Or(first.data, roaring64.BitmapOf(7))) {
		t.Errorf("noted %v, %v", blocks, err)
	}
	if locks, _ := filepath.Glob(filepath.Join(lockDir, "sent-*")); len(locks) > 0 {
		t.Errorf("left locked: %v", locks)
	}
}

// What a full dump of a volume in use sends is noted for patches from its snapshots, as far as those don't map it.
func TestSentOfFull(t *testing.T) {
	s := show(t)
	src, err := OpenFull(t.Context(), s.paths["o"])
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := src.NoteSent(t.Context()); err != nil {
		t.Fatal(err)
	}
	forth, err := Open(t.Context(), s.paths["s"])
	if err != nil {
		t.Fatal(err)
	}
	defer forth.Close()
	if want := roaring64.And(s.changed, s.mapped["o"]); !forth.sent.blocks.Equals(want) {
		t.Errorf("noted %v, want %v", forth.sent.blocks, want)
	}
	if src.Header().Source.Snapshots == nil {
		t.Error("the header doesn't list the snapshots")
	}

	// If that can't be noted, or LVM doesn't tell of them any more, the header says nothing of them either: what follows them
	// doesn't follow it.
	sentDir = "/dev/null/sent"
	if err := src.NoteSent(t.Context()); err == nil || src.Header().Source.Snapshots != nil {
		t.Errorf("%v, %v", err, src.Header().Source.Snapshots)
	}
	s.Before("lvs", `case "$*" in *thin_id*) [ ! -e $d/asked ] || exit 5; touch $d/asked ;; esac`)
	unlisted, err := OpenFull(t.Context(), s.paths["o"])
	if err != nil {
		t.Fatal(err)
	}
	defer unlisted.Close()
	if _, err := os.Stat(filepath.Join(s.Dir(), "asked")); err != nil || unlisted.Header().Source.Snapshots != nil {
		t.Errorf("%v, %v", err, unlisted.Header().Source.Snapshots)
	}
}

// Where it isn't known what was sent, all that neither volume maps is zeros.
func TestSentUnknown(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"cut":       func(path string) error { return os.Truncate(path, 20) },
		"cut short": func(path string) error { return os.Truncate(path, 3) },
		"no note":   func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("x", 50)), 0o600) },
		"a folder": func(path string) error {
			return errorsOf(os.Remove(path), os.Mkdir(path, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := show(t)
			if err := damage(s.sentBefore(roaring64.BitmapOf(7))); err != nil {
				t.Fatal(err)
			}
			src, err := Open(t.Context(), s.paths["s"])
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			if src.SentUnknown() == nil {
				t.Error("nothing is said of it")
			}
			s.checkBlocks(t, src, roaring64.And(s.changed, s.mapped["o"]), roaring64.AndNot(span(0, volumeSize/poolBlock), s.mapped["o"]))
			if err := src.NoteSent(t.Context()); err != nil {
				t.Error(err) // what was not read is not replaced
			}
		})
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A note that can't be written is an error.
func TestSentNotWritten(t *testing.T) {
	s := show(t)
	src, err := Open(t.Context(), s.paths["s"])
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := os.WriteFile(sentDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := src.NoteSent(t.Context()); err == nil {
		t.Error("it was noted in a file that is no folder")
	}
}

// Notes about volumes that are gone go, too, but not those of another volume group.
func TestSentTidied(t *testing.T) {
	s := show(t)
	note := s.sentBefore(roaring64.BitmapOf(7))
	group, _, _ := strings.Cut(filepath.Base(note), ".")
	gone, other := filepath.Join(sentDir, group+".gone.3"), filepath.Join(sentDir, "other.gone.3")
	for _, path := range []string{gone, other} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	src, err := Open(t.Context(), s.paths["s"])
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := src.NoteSent(t.Context()); err != nil {
		t.Error(err)
	}
	for path, stays := range map[string]bool{note: true, gone: false, other: true} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v", path, err)
		}
	}
}
