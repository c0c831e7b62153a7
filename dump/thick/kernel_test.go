package thick

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lvmsync/dump"
	"lvmsync/format"
)

// Each way to open a snapshot leads where it says, and the header names that.
func TestWaysToOpen(t *testing.T) {
	s, c := partial(t)
	later := filepath.Join(t.TempDir(), "later") // which holds what the origin does
	if err := os.WriteFile(later, read(t, c.origin), 0o600); err != nil {
		t.Fatal(err)
	}
	s.add("s2", partialSize, later, c.cow, c.ChunkBytes, partialStatus)
	// another device is on the same file
	s.add("used", partialSize, c.origin, c.cow, c.ChunkBytes, partialStatus)
	snapshot, created := "uuid-of-s", "2026-11-26 04:06:47 +0000 UTC"
	for name, tt := range map[string]struct {
		open              func(context.Context) (Source, error)
		from, to          string // files
		base, state, path string
	}{
		"forth": {func(ctx context.Context) (Source, error) { return Open(ctx, s.paths["s"]) },
			c.base, c.origin, snapshot, "", s.origin.Path()},
		"reverse": {func(ctx context.Context) (Source, error) {
			return OpenReverse(ctx, s.paths["s"])
		}, c.origin, c.base, "", snapshot, s.paths["s"]},
		"to another one": {func(ctx context.Context) (Source, error) {
			return OpenTo(ctx, s.paths["s"], s.paths["s2"])
		}, c.base, c.origin, snapshot, "uuid-of-s2", s.paths["s2"]},
		"to one that may be written to": {func(ctx context.Context) (Source, error) {
			return OpenTo(ctx, s.paths["s"], s.paths["used"])
		}, c.base, c.origin, snapshot, "", s.paths["used"]},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := tt.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			var patch bytes.Buffer
			report, err := dump.Run(t.Context(), src.Source, &patch, dump.Options{})
			if err != nil {
				t.Fatal(err)
			}
			volume := read(t, tt.from)
			if layOver(t, volume, &patch); !bytes.Equal(volume, read(t, tt.to)) {
				t.Error("the base does not become what was to be sent")
			}
			base, state := format.Base{}, format.State{}
			if report.Header.Base != nil {
				base = *report.Header.Base
			}
			if report.Header.State != nil {
				state = *report.Header.State
			}
			if base.Snapshot != tt.base ||
				(tt.base != "" && base.SnapshotCreated.String() != created) {
				t.Errorf("the base is %q of %v, want %q", base.Snapshot,
					base.SnapshotCreated, tt.base)
			}
			if state.Snapshot != tt.state ||
				(tt.state != "" && state.SnapshotCreated.String() != created) {
				t.Errorf("the state is %q of %v, want %q", state.Snapshot,
					state.SnapshotCreated, tt.state)
			}
			if in := report.Header.Source; in.LV != "o" || in.Snapshot == "" ||
				in.Type != "thick" || in.Path != tt.path {
				t.Errorf("the source is %+v", in)
			}
		})
	}
}

// The status is asked before the list is read, after it, and when the last data has been read; of
// both snapshots, if there are two.
func TestStatusAsked(t *testing.T) {
	invalid := fmt.Sprintf("0 %d snapshot Invalid", partialSize/512)
	open := map[string]func(s *shown) (Source, error){
		"snapshot": func(s *shown) (Source, error) { return Open(t.Context(), s.paths["s"]) },
		"reverse": func(s *shown) (Source, error) {
			return OpenReverse(t.Context(), s.paths["s"])
		},
		"from": func(s *shown) (Source, error) {
			return OpenTo(t.Context(), s.paths["s"], s.paths["s2"])
		},
		"to": func(s *shown) (Source, error) {
			return OpenTo(t.Context(), s.paths["s2"], s.paths["s"])
		},
	}
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			for look := 1; look <= 3; look++ {
				s, c := partial(t)
				s.add("s2", partialSize, c.origin, c.cow, c.ChunkBytes, partialStatus)
				s.Status(s.nums["s"], look, invalid, "")
				src, err := open(s)
				if err == nil && look == 3 {
					defer src.Close()
					_, err = dump.Run(t.Context(), src.Source, new(bytes.Buffer), dump.Options{})
				}
				if !errors.Is(err, dump.ErrIncomplete) {
					t.Errorf("invalid at look %d: %v", look, err)
				}
				if n := s.Looks(s.nums["s"]); n != look {
					t.Errorf("invalid at look %d: %d looks", look, n)
				}
			}
		})
	}
}

// What the list is compared with was told before it was read, and after: the first look comes
// before the store is read at all, and the second when that is done.
func TestListBetweenLooks(t *testing.T) {
	s, c := partial(t)
	whole, store := filepath.Join(t.TempDir(), "whole"), s.cows["s"]
	if err := os.WriteFile(whole, read(t, store), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(store, make([]byte, len(read(t, whole))), 0o600); err != nil {
		t.Fatal(err)
	}
	status := fmt.Sprintf("0 %d snapshot %s", partialSize/512, partialStatus)
	s.Status(s.nums["s"], 1, status,
		fmt.Sprintf("dd if=%s of=%s conv=notrunc,fsync bs=64k status=none", whole, store))
	s.Status(s.nums["s"], 2, status,
		fmt.Sprintf("dd if=/dev/zero of=%s conv=notrunc,fsync bs=64k count=4 status=none", store))
	src, err := Open(t.Context(), s.paths["s"])
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if n := src.Header.Planned.Bytes; n == 0 || s.Looks(s.nums["s"]) != 2 {
		t.Errorf("%d bytes of %s, %d looks", n, c.Name, s.Looks(s.nums["s"]))
	}
}

// A list without areas that were full before it was read is not complete, and one with more than
// the kernel has afterwards is not right.
func TestMiscount(t *testing.T) {
	for name, tt := range map[string]struct {
		before, after string
		wrong         bool
	}{
		"as captured":              {fewStatus, fewStatus, false},
		"more since":               {"32/208 16", fewStatus, false},
		"a full area before":       {"2072/8000 24", "2072/8000 24", true},
		"fewer afterwards":         {fewStatus, "80/208 16", true},
		"full afterwards only":     {fewStatus, "2072/8000 24", false},
		"full before, then failed": {"2072/8000 24", "Overflow", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := captureOf(t, "c4k-few")
			s := show(t, c.origin)
			num := s.add("s", fewSize, c.base, c.cow, c.ChunkBytes, tt.before)
			s.Status(num, 2, fmt.Sprintf("0 %d snapshot %s", fewSize/512, tt.after), "")
			src, err := Open(t.Context(), s.paths["s"])
			if err == nil {
				src.Close()
			}
			if errors.Is(err, dump.ErrMiscount) != tt.wrong || !tt.wrong && err != nil {
				t.Errorf("error %v", err)
			}
		})
	}
}

// What was written to the origin, and is in the page cache still, is flushed before a list is read,
// also where no data are read from it.
func TestOriginFlushedFirst(t *testing.T) {
	for name, open := range map[string]func(s *shown) (Source, error){
		"forth": func(s *shown) (Source, error) { return Open(t.Context(), s.paths["s"]) },
		"to": func(s *shown) (Source, error) {
			return OpenTo(t.Context(), s.paths["s"], s.paths["s2"])
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := partial(t)
			s.add("s2", partialSize, c.base, c.cow, c.ChunkBytes, partialStatus)
			seen := filepath.Join(t.TempDir(), "seen")
			s.Status(s.nums["s"], 1,
				fmt.Sprintf("0 %d snapshot %s", partialSize/512, partialStatus),
				fmt.Sprintf("cp %s %s", c.origin, seen))
			f, err := os.OpenFile(s.origin.Path(), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			const word = "just written"
			if _, err := f.WriteAt([]byte(word), 5*65536); err != nil {
				t.Fatal(err)
			}
			src, err := open(s)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			if got := string(read(t, seen)[5*65536:][:len(word)]); got != word {
				t.Errorf("the origin had %q when the list was begun", got)
			}
		})
	}
}

// An origin that has grown is sent whole from the chunk on that the old end lies in, listed or not.
// The way back is no longer than the snapshot.
func TestGrownSinceSnapshot(t *testing.T) {
	const chunk, old, grown = 4096, fewSize + 2*4096 + 512, 100 << 10
	c := captureOf(t, "c4k-few")
	s := show(t, image(t, old+grown))
	s.add("s", old, image(t, old), c.cow, c.ChunkBytes, fewStatus)
	for name, tt := range map[string]struct {
		open func(context.Context, string) (Source, error)
		size int64
		last format.Extent
	}{
		"forth": {Open, old + grown,
			format.Extent{Off: old / chunk * chunk, Len: old%chunk + grown}},
		"back": {OpenReverse, old, format.Extent{Off: c.lastChanged() * chunk, Len: chunk}},
	} {
		src, err := tt.open(t.Context(), s.paths["s"])
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		var last format.Extent
		total := int64(0)
		for e := range src.Extents {
			last = e
			total += e.Len
		}
		if last != tt.last {
			t.Errorf("%s: the last extent is %v, want %v", name, last, tt.last)
		}
		if h := src.Header; h.Planned.Bytes != total || h.VolumeSize != tt.size {
			t.Errorf("%s: %d bytes of %d planned, %d in the extents", name, h.Planned.Bytes,
				h.VolumeSize, total)
		}
	}
}

// lastChanged is the last chunk that the kernel listed.
func (c captured) lastChanged() int64 {
	run := c.Expected.ChangedChunks[len(c.Expected.ChangedChunks)-1]
	return run[0] + run[1] - 1
}

// Two lists in chunks of different sizes come together in the smaller ones, whichever is first.
func TestTwoChunkSizes(t *testing.T) {
	large, small := captureOf(t, "c64k-partial"), captureOf(t, "c4k-few")
	s := show(t, large.origin)
	s.add("large", partialSize, large.base, large.cow, large.ChunkBytes, partialStatus)
	s.add("small", partialSize, large.origin, small.cow, small.ChunkBytes, fewStatus)
	want := make([]bool, (partialSize+4095)/4096)
	for _, c := range []captured{large, small} {
		for _, run := range c.Expected.ChangedChunks {
			for at := run[0] * c.ChunkBytes; at < min((run[0]+run[1])*c.ChunkBytes,
				partialSize); at += 4096 {
				want[at/4096] = true
			}
		}
	}
	for _, names := range [][2]string{{"large", "small"}, {"small", "large"}} {
		src, err := OpenTo(t.Context(), s.paths[names[0]], s.paths[names[1]])
		if err != nil {
			t.Fatal(err)
		}
		got := make([]bool, len(want))
		for e := range src.Extents {
			for at := e.Off; at < e.End(); at += 4096 {
				got[at/4096] = true
			}
		}
		if !slices.Equal(got, want) || src.Header.Granularity != 4096 {
			t.Errorf("%v: not the union of both, in units of %d", names, src.Header.Granularity)
		}
		src.Close()
	}
}
