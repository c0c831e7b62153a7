package statename

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/archive"
)

// The names of files are sorted by time, and whole words to a shell, whatever headers say.
func TestFiles(t *testing.T) {
	lv := format.Source{VG: "vg", LV: "mail", Path: "/dev/vg/mail"}
	snap := lv
	snap.Snapshot, snap.SnapshotUUID = "mail_3am", "S"
	id := uuid.UUID{}.String()
	posing := lv
	posing.LV += "_" + id
	evil := format.Source{VG: "vg", LV: "$(rm -rf /)\n" + strings.Repeat("x", 300)}
	of := func(headers ...format.Header) (patches []*archive.Patch) {
		for i, h := range headers {
			h.ID = uuid.UUID{15: byte(i)}
			patches = append(patches, &archive.Patch{Header: h})
		}
		return patches
	}
	at := time.Date(2026, 11, 20, 4, 0, 0, 5e8, time.FixedZone("", 3600))
	long := format.Header{Created: at, Kind: format.Undo, Source: format.Source{VG: "vg",
		LV: strings.Repeat("x", 300), Snapshot: strings.Repeat("y", 300), SnapshotUUID: "S"},
		State: &format.State{Snapshot: "S", SnapshotCreated: at}}
	for name, tt := range map[string]struct {
		patches []*archive.Patch
		want    []string
	}{
		"a volume": {of(format.Header{Created: at, Source: lv}),
			[]string{"2026-11-20T03-00-00Z_vg-mail.img"}},
		"a snapshot": {of(format.Header{Created: at.Add(time.Hour), Source: snap,
			State: &format.State{Snapshot: "S", SnapshotCreated: at}}),
			[]string{"2026-11-20T03-00-00Z_vg-mail_mail_3am.img"}},
		"a snapshot without a name": {of(format.Header{Created: at.Add(time.Hour), Source: snap,
			State: &format.State{Snapshot: "T", SnapshotCreated: at}}),
			[]string{"2026-11-20T03-00-00Z_vg-mail.img"}},
		"an image": {of(format.Header{Created: at, Source: format.Source{Path: "/srv/a b.img"}}),
			[]string{"2026-11-20T03-00-00Z_a-b.img"}},
		"nothing known": {of(format.Header{}), []string{"undated.img"}},
		"going back": {of(format.Header{Created: at, Source: lv, Kind: format.Undo}),
			[]string{"2026-11-20T03-00-00Z_vg-mail_undo.img"}},
		"of one second": {of(format.Header{Created: at, Source: lv},
			format.Header{Created: at.Add(1e6), Source: lv},
			format.Header{Created: at.Add(1e6), Source: lv},
			format.Header{Created: at.Add(1e9), Source: lv}),
			[]string{"2026-11-20T03-00-00.500Z_vg-mail.img",
				"2026-11-20T03-00-00.501Z_vg-mail_00000000-0000-0000-0000-000000000001.img",
				"2026-11-20T03-00-00.501Z_vg-mail_00000000-0000-0000-0000-000000000002.img",
				"2026-11-20T03-00-01Z_vg-mail.img"}},
		"one that poses as another": {of(format.Header{Created: at, Source: lv},
			format.Header{Created: at, Source: lv}, format.Header{Created: at, Source: posing},
			format.Header{Created: at.Add(1e6), Source: posing}),
			[]string{"2026-11-20T03-00-00.500Z_vg-mail_" + id + ".img",
				"2026-11-20T03-00-00.500Z_vg-mail_00000000-0000-0000-0000-000000000001.img",
				"2026-11-20T03-00-00.500Z_vg-mail_" + id + "_2.img",
				"2026-11-20T03-00-00.501Z_vg-mail_" + id + ".img"}},
		"as long as can be": {of(long, long),
			[]string{"2026-11-20T03-00-00.500Z_" + strings.Repeat("x", maxPart) + "_" +
				strings.Repeat("y", maxPart) + "_undo_" + id + ".img",
				"2026-11-20T03-00-00.500Z_" + strings.Repeat("x", maxPart) + "_" +
					strings.Repeat("y", maxPart) + "_undo_00000000-0000-0000-0000-000000000001.img"}},
		"evil": {of(format.Header{Created: at, Source: evil}),
			[]string{"2026-11-20T03-00-00Z_" + strings.Repeat("x", maxPart) + ".img"}},
	} {
		got := Files(tt.patches)
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

// Every name that a state of an archive is shown by is found again, and so is a path.
func TestFind(t *testing.T) {
	at := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	var patches []*archive.Patch
	for i, when := range []time.Time{at, at.Add(1e6), at.Add(1e6), at.Add(time.Hour)} {
		patches = append(patches, &archive.Patch{Path: string(rune('a' + i)), Header: format.Header{
			ID: uuid.UUID{byte(i)}, Kind: format.Full, Created: when,
			Source: format.Source{VG: "vg", LV: "mail"}}})
	}
	a := archive.New(slices.Clone(patches))
	for i, name := range Files(patches) {
		for _, name := range []string{name, "/mnt/vg-mail/" + name} {
			if found := Find(a, name); len(found) != 1 || found[0].Path != patches[i].Path {
				t.Errorf("%s: %v, want %v", name, found, patches[i])
			}
		}
	}
	for name, want := range map[string]int{
		"2026-11-20T03-00-00Z_vg-mail.img":     3,
		"2026-11-20T03-00-00.001Z_vg-mail.img": 2,
		"2026-11-20T04-00-00Z_vg-mail":         0,
		"2026-11-20T04-00-00Z_vg-other.img":    0,
		"":                                     0,
	} {
		if found := Find(a, name); len(found) != want {
			t.Errorf("%s: %v, want %d", name, found, want)
		}
	}
}
