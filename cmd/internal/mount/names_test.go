package mount

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"lvmsync/format"
	"lvmsync/format/archive"
)

// Folders have names of their own, and none that leads elsewhere.
func TestFolderNames(t *testing.T) {
	state := []State{{Patch: &archive.Patch{}}}
	id := uuid.UUID{}.String()
	got := folderNames([]Volume{{"vg/mail", state}, {"vg-mail", state}, {"..", state}, {"", state},
		{"../vg", state}, {"a_" + id, state}, {"a", state}, {"a", state}})
	want := []string{"vg-mail", "vg-mail_" + id, id, id + "_2", "vg", "a_" + id, "a", "a_" + id + "_2"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What stat tells of the room that a state takes is about right, and never nothing.
func TestBlocks(t *testing.T) {
	const size = 1 << 30
	patch := func(kind format.Kind, data, zero int64, follows *archive.Patch) *archive.Patch {
		return &archive.Patch{Header: format.Header{Kind: kind, VolumeSize: size}, Follows: follows,
			Totals: format.Totals{DataBytes: data, ZeroBytes: zero}}
	}
	half := patch(format.Full, size/2, size/2, nil)
	more := patch(format.Delta, size/2, 0, half)
	dense := patch(format.Full, size, 0, nil)
	huge := patch(format.Full, math.MaxInt64, 0, nil)
	huge.Header.VolumeSize = math.MaxInt64
	for name, tt := range map[string]struct {
		patch    *archive.Patch
		from, to int64
	}{
		"zeros":         {patch(format.Full, 0, size, nil), 8, 8},
		"half":          {half, size / 1024, size / 1024},
		"a delta":       {more, size / 1024, size/512 - 1},
		"full of data":  {dense, size / 512, size / 512},
		"still full":    {patch(format.Delta, size/3, 0, dense), size / 512, size / 512},
		"no larger one": {huge, 1 << 54, 1 << 54},
		"over a base":   {patch(format.Delta, 0, size/4, nil), size / 1024, size/512 - 1},
	} {
		s := sizes{base: size, known: make(map[*archive.Patch]int64)}
		if n := s.blocks(tt.patch); n < tt.from || n > tt.to {
			t.Errorf("%s: %d blocks, want %d to %d", name, n, tt.from, tt.to)
		}
	}
	two := []State{{Patch: huge}, {Patch: huge}}
	b := &builder{Options: Options{Volumes: []Volume{{States: two}}}}
	if b.count(); b.statfs.Blocks != 2<<51 {
		t.Errorf("%d blocks in all, want %d", b.statfs.Blocks, uint64(2<<51))
	}
}

// Should a name not be its own all the same, what it was for is not left out without a word.
func TestNameTaken(t *testing.T) {
	var warnings []string
	b := &builder{Options: Options{Warn: func(s string) { warnings = append(warnings, s) }}}
	root := &folder{}
	fs.NewNodeFS(root, nil)
	for range 2 {
		node := root.NewPersistentInode(t.Context(), &folder{}, b.stable(fuse.S_IFDIR))
		b.add(&root.Inode, "vg-mail", node)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "vg-mail is left out") {
		t.Errorf("%q", warnings)
	}
}
