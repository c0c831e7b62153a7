package thin

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"lvmsync/dump"
)

// sentBefore is the note about what was sent from the snapshot s of the captured pool.
func (s *shown) sentBefore(blocks *roaring64.Bitmap) string {
	s.t.Helper()
	return s.noteBefore("s", &note{blocks: blocks})
}

// noteBefore adds to the note of a volume, and gives its path.
func (s *shown) noteBefore(volume string, add *note) string {
	s.t.Helper()
	name := s.noteName(volume)
	if _, err := changeNote(s.t.Context(), name, nil, add); err != nil {
		s.t.Fatal(err)
	}
	return filepath.Join(sentDir, name)
}

// noted is the note of a volume, which must be whole.
func (s *shown) noted(volume string) *note {
	s.t.Helper()
	n, err := findNote(s.noteName(volume))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// opened closes a source when the test ends.
func opened(t *testing.T, src *Changes, err error) *Changes {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

// What a dump has sent, those after it send, too: what neither volume maps as zeros.
func TestSentAgain(t *testing.T) {
	s := show(t)
	unmapped := roaring64.AndNot(span(0, volumeSize/poolBlock),
		roaring64.Or(s.mapped["o"], s.mapped["s"]))
	gone := roaring64.BitmapOf(unmapped.Minimum(), unmapped.Maximum())
	again := roaring64.BitmapOf(roaring64.And(s.mapped["o"], s.mapped["s"]).Minimum())
	// the volume was larger then
	s.sentBefore(roaring64.Or(roaring64.Or(again, gone), span(1<<20, 1<<20+9)))
	for _, way := range []struct {
		name string
		open func() (*Changes, error)
		data *roaring64.Bitmap
	}{
		{"forth", func() (*Changes, error) {
			return Open(t.Context(), s.paths["s"])
		}, s.mapped["o"]},
		{"back", func() (*Changes, error) {
			return OpenReverse(t.Context(), s.paths["s"])
		}, s.mapped["s"]},
		{"to another", func() (*Changes, error) {
			return OpenTo(t.Context(), s.paths["s"], s.paths["o"])
		}, s.mapped["o"]},
	} {
		src, err := way.open()
		if err != nil {
			t.Fatal(way.name, err)
		}
		want := roaring64.Or(roaring64.And(s.changed, way.data), again)
		s.checkBlocks(t, src, want, roaring64.Or(gone, roaring64.AndNot(s.changed, way.data)))
		if src.SentUnknown() != nil {
			t.Error(way.name, src.SentUnknown())
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
}

// blocksOf are the blocks that a source sends.
func blocksOf(src dump.Source) *roaring64.Bitmap {
	blocks := roaring64.New()
	for e := range src.Extents {
		blocks.AddRange(uint64(e.Off/poolBlock), uint64((e.End()+poolBlock-1)/poolBlock))
	}
	return blocks
}

// What is sent is noted, as data or zeros, with what was sent before; a dump that sends nothing
// notes nothing.
func TestSentNoted(t *testing.T) {
	s := show(t)
	s.sentBefore(roaring64.BitmapOf(7))
	unmapped := roaring64.AndNot(span(0, volumeSize/poolBlock),
		roaring64.Or(s.mapped["o"], s.mapped["s"]))
	last := roaring64.BitmapOf(unmapped.Maximum())
	first, err := Open(t.Context(), s.paths["s"])
	opened(t, first, err)
	if n := s.noted("s"); !n.blocks.Equals(roaring64.BitmapOf(7)) {
		t.Errorf("a dry run left %v", n.blocks)
	}
	if first.zero.IsEmpty() || first.zero.Intersects(last) || first.data.Intersects(last) {
		t.Fatalf("the test needs zeros, and not %v: %v, %v", last, first.data, first.zero)
	}
	other := uuid.New() // at once, which has notes of it sooner, and it's discarded by now
	s.noteBefore("s", &note{blocks: last, Dumps: []noted{{ID: other}}})
	src, err := first.NoteSent(t.Context(), nil)
	if err != nil {
		t.Error(err)
	}
	if got := blocksOf(src); !got.Equals(first.sends()) || src.Header.Planned.Extents == 0 ||
		*src.Header.Planned != first.planned {
		t.Errorf("%v are sent, %v planned, want %v", got, src.Header.Planned, first.sends())
	}
	if !first.zero.Contains(last.Maximum()) {
		t.Errorf("what the other one has sent is not in it: %v", first.zero)
	}
	n := s.noted("s")
	if want := roaring64.Or(roaring64.Or(first.data, first.zero),
		roaring64.BitmapOf(7)); !n.blocks.Equals(want) {
		t.Errorf("noted %v, want %v", n.blocks, want)
	}
	got := src.Header.Source
	if len(n.Dumps) != 2 || n.Dumps[0].ID != other ||
		!maps.Equal(got.Noted, map[string]uuid.UUID{"uuid-of-s": n.Dumps[1].ID}) ||
		!slices.Equal(got.NotedBefore, []uuid.UUID{other}) {
		t.Errorf("the note has %v, the header %v, %v", n.Dumps, got.Noted, got.NotedBefore)
	}
	if locks, _ := filepath.Glob(filepath.Join(lockDir, "sent*")); len(locks) > 0 {
		t.Errorf("left locked: %v", locks)
	}
}

// If another dump was quicker, and the pool can't be asked again, it isn't known what to send: that
// is no matter of notes.
func TestSentAskedAgain(t *testing.T) {
	s := show(t)
	src, err := Open(t.Context(), s.paths["s"])
	opened(t, src, err)
	s.sentBefore(roaring64.BitmapOf(7))
	// another program holds a metadata snapshot
	s.Status(s.pool, 1, fmt.Sprintf(poolStatus, "3"), "")
	if _, err := src.NoteSent(t.Context(), nil); !errors.Is(err, ErrHeld) ||
		errors.Is(err, ErrNotNoted) {
		t.Errorf("%v, want %v", err, ErrHeld)
	}
}

// Where it isn't known what was sent, all of the volume is; the note says so from then on.
func TestSentUnknown(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"cut":       func(path string) error { return os.Truncate(path, 20) },
		"cut short": func(path string) error { return os.Truncate(path, 3) },
		"no note": func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("x", 50)), 0o600)
		},
		"another's": func(path string) error { return os.Rename(path+"1", path) },
		"a named pipe": func(path string) error {
			return errorsOf(os.Remove(path), unix.Mkfifo(path, 0o600))
		},
		"a folder": func(path string) error {
			return errorsOf(os.Remove(path), os.Mkdir(path, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := show(t)
			if _, err := changeNote(t.Context(), s.noteName("s")+"1", nil,
				&note{blocks: roaring64.New()}); err != nil {
				t.Fatal(err)
			}
			if err := damage(s.sentBefore(roaring64.BitmapOf(7))); err != nil {
				t.Fatal(err)
			}
			full, err := OpenFull(t.Context(), s.paths["o"])
			opened(t, full, err)
			_, err = full.NoteSent(t.Context(), nil)
			if replaced := name != "a folder"; (err == nil) != replaced ||
				len(full.info.Noted) > 0 != replaced {
				t.Errorf("a full dump: %v, %v", err, full.info.Noted)
			}
			full.Close()
			for range 2 {
				src, err := Open(t.Context(), s.paths["s"])
				opened(t, src, err)
				if src.SentUnknown() == nil {
					t.Error("nothing is said of it")
				}
				s.checkBlocks(t, src, s.mapped["o"], roaring64.AndNot(src.all(), s.mapped["o"]))
				if _, err := src.NoteSent(t.Context(), nil); (err == nil) != (name != "a folder") {
					t.Error(err)
				}
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

// A note that can't be written is an error, and the header names none.
func TestSentNotWritten(t *testing.T) {
	s := show(t)
	src, err := Open(t.Context(), s.paths["s"])
	opened(t, src, err)
	if err := os.WriteFile(sentDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := src.NoteSent(t.Context(), nil); !errors.Is(err, ErrNotNoted) ||
		src.Source().Header.Source.Noted != nil {
		t.Errorf("noted in a file that is no folder: %v", err)
	}
}

// The origin is the volume that LVM's UUID tells, not the one that has its name by now.
func TestOriginRenamed(t *testing.T) {
	s := show(t)
	s.tell("s", volumeSize, "",
		map[string]string{"origin": "o", "origin_uuid": "uuid-of-the-real-one"})
	if src, err := Open(t.Context(), s.paths["s"]); err == nil ||
		!strings.Contains(err.Error(), "renamed") {
		t.Errorf("%v, %v", src, err)
	}
}
