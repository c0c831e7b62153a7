package mount

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"lvmsync/format"
	"lvmsync/format/archive"
)

// The names of files are sorted by time, and whole words to a shell, whatever headers say.
func TestFileNames(t *testing.T) {
	lv := format.Source{VG: "vg", LV: "mail", Path: "/dev/vg/mail"}
	snap := lv
	snap.Snapshot, snap.SnapshotUUID = "mail_3am", "S"
	id := uuid.UUID{}.String()
	posing := lv
	posing.LV += "_" + id
	evil := format.Source{VG: "vg", LV: "$(rm -rf /)\n" + strings.Repeat("x", 300)}
	states := func(headers ...format.Header) (states []State) {
		for i, h := range headers {
			h.ID = uuid.UUID{15: byte(i)}
			states = append(states, State{Patch: &archive.Patch{Header: h}})
		}
		return states
	}
	at := time.Date(2026, 11, 20, 4, 0, 0, 5e8, time.FixedZone("", 3600))
	long := format.Header{Created: at, Kind: format.Undo, Source: format.Source{VG: "vg",
		LV: strings.Repeat("x", 300), Snapshot: strings.Repeat("y", 300), SnapshotUUID: "S"},
		State: &format.State{Snapshot: "S", SnapshotCreated: at}}
	for name, tt := range map[string]struct {
		states []State
		want   []string
	}{
		"a volume": {states(format.Header{Created: at, Source: lv}),
			[]string{"2026-11-20T03-00-00Z_vg-mail.img"}},
		"a snapshot": {states(format.Header{Created: at.Add(time.Hour), Source: snap,
			State: &format.State{Snapshot: "S", SnapshotCreated: at}}),
			[]string{"2026-11-20T03-00-00Z_vg-mail_mail_3am.img"}},
		"a snapshot without a name": {states(format.Header{Created: at.Add(time.Hour), Source: snap,
			State: &format.State{Snapshot: "T", SnapshotCreated: at}}),
			[]string{"2026-11-20T03-00-00Z_vg-mail.img"}},
		"an image": {states(format.Header{Created: at, Source: format.Source{Path: "/srv/a b.img"}}),
			[]string{"2026-11-20T03-00-00Z_a-b.img"}},
		"nothing known": {states(format.Header{}), []string{"undated.img"}},
		"going back": {states(format.Header{Created: at, Source: lv, Kind: format.Undo}),
			[]string{"2026-11-20T03-00-00Z_vg-mail_undo.img"}},
		"of one second": {states(format.Header{Created: at, Source: lv},
			format.Header{Created: at.Add(1e6), Source: lv},
			format.Header{Created: at.Add(1e6), Source: lv},
			format.Header{Created: at.Add(1e9), Source: lv}),
			[]string{"2026-11-20T03-00-00.500Z_vg-mail.img",
				"2026-11-20T03-00-00.501Z_vg-mail_00000000-0000-0000-0000-000000000001.img",
				"2026-11-20T03-00-00.501Z_vg-mail_00000000-0000-0000-0000-000000000002.img",
				"2026-11-20T03-00-01Z_vg-mail.img"}},
		"one that poses as another": {states(format.Header{Created: at, Source: lv},
			format.Header{Created: at, Source: lv}, format.Header{Created: at, Source: posing},
			format.Header{Created: at.Add(1e6), Source: posing}),
			[]string{"2026-11-20T03-00-00.500Z_vg-mail_" + id + ".img",
				"2026-11-20T03-00-00.500Z_vg-mail_00000000-0000-0000-0000-000000000001.img",
				"2026-11-20T03-00-00.500Z_vg-mail_" + id + "_2.img",
				"2026-11-20T03-00-00.501Z_vg-mail_" + id + ".img"}},
		"as long as can be": {states(long, long),
			[]string{"2026-11-20T03-00-00.500Z_" + strings.Repeat("x", maxPart) + "_" +
				strings.Repeat("y", maxPart) + "_undo_" + id + ".img",
				"2026-11-20T03-00-00.500Z_" + strings.Repeat("x", maxPart) + "_" +
					strings.Repeat("y", maxPart) + "_undo_00000000-0000-0000-0000-000000000001.img"}},
		"evil": {states(format.Header{Created: at, Source: evil}),
			[]string{"2026-11-20T03-00-00Z_" + strings.Repeat("x", maxPart) + ".img"}},
	} {
		got := fileNames(tt.states)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		for _, file := range got {
			if len(file) > 255-10 { // there is room for a number
				t.Errorf("%s: %d bytes", file, len(file))
			}
		}
	}
}

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
