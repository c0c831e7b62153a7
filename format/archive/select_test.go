package archive

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lvmsync/format"
)

// snapshot names the patch's snapshot for people: it is the state's.
func snapshot(name string) tweak {
	return func(h *format.Header) {
		h.Source.VG, h.Source.Snapshot, h.Source.SnapshotUUID = "vg", name, h.State.Snapshot
	}
}

func undated(h *format.Header) { h.Created = time.Time{} }

// file is one that can't be used.
func file(path string, s Status, header ...*Patch) File {
	f := File{Path: path, Status: s, Err: format.ErrTruncated}
	for _, p := range header {
		f.Header = &p.Header
	}
	return f
}

func TestSelect(t *testing.T) {
	full := func(n, at int, tweaks ...tweak) *Patch {
		return patch(n, at, 1000, append([]tweak{kind(format.Full)}, tweaks...)...)
	}
	week := []*Patch{full(1, 2, to("A"), snapshot("sun")),
		patch(2, 3, 9, from("A"), to("B"), snapshot("mon")),
		patch(3, 4, 9, from("B"), to("C"), snapshot("tue"))}
	gap := slices.Concat(week[:2], []*Patch{patch(4, 5, 9, from("C"), to("D"))})
	fork := slices.Concat(week, []*Patch{patch(4, 5, 9, from("A"), to("D"), snapshot("mon"))})
	doubt := []*Patch{full(1, 2), patch(2, 5, 9, from("C"))}
	back := []*Patch{full(1, 2, to("B")), patch(2, 3, 9, from("B"), to("A"))}
	late := patch(9, 9, 9, from("C"), to("D"))
	for name, tt := range map[string]struct {
		patches []*Patch
		files   []File
		choice  Choice
		want    string // the patch, or a part of the message
		err     error
	}{
		"the newest":  {patches: week, want: "3"},
		"at its time": {patches: week, choice: Choice{At: made("B")}, want: "2"},
		"between":     {patches: week, choice: Choice{At: made("C").Add(-1)}, want: "2"},
		"before the first": {patches: week, choice: Choice{At: made("A").Add(-1)},
			want: "no state is as old as", err: ErrNoState},
		"nothing": {want: "there is no full patch", err: ErrNoState},
		"undo alone": {patches: []*Patch{patch(9, 3, 9, kind(format.Undo), follows(1))},
			want: "there is no full patch", err: ErrNoState},
		"two volumes": {patches: []*Patch{full(1, 2, path("a")), full(2, 3, path("b"))},
			want: "of 2 volumes, a and b; there are the states of b of " + clock(hour(3)) +
				" (2), a of ", err: ErrAmbiguous},
		"two volumes, or a damaged one between": {patches: []*Patch{full(1, 2, path("a")),
			full(2, 3, path("b"))}, files: []File{file("x", Truncated)},
			want: "of 2 volumes, a and b; and x can't be used: patch is truncated; there",
			err:  ErrAmbiguous},
		"two volumes, by name": {patches: []*Patch{full(1, 2, path("a")), full(2, 3, path("b"))},
			choice: Choice{Name: "1"}, want: "1"},
		"by a clock that was set back": {choice: Choice{At: hour(4)},
			patches: []*Patch{full(1, 1), patch(2, 8, 9, follows(1)), patch(3, 3, 9, follows(2))},
			want:    "leads through that of", err: ErrAmbiguous},
		"a damaged one that follows, dated before": {patches: week,
			files: []File{file("x", Truncated, patch(9, 1, 9, from("C")))},
			want:  "x may have a newer state", err: format.ErrTruncated},
		"a gap before the newest": {patches: gap,
			want: "4) can't be restored: it starts from snapshot C", err: ErrGap},
		"a gap later": {patches: gap, choice: Choice{At: made("C")}, want: "2"},
		"a gap, by name": {patches: gap, choice: Choice{Name: "4"},
			want: "there are the states of " + clock(made("B")) + " (vg/mon, 2), ", err: ErrGap},
		"no full patch": {patches: week[1:],
			want: "3) can't be restored: of 2, which the way to it", err: ErrGap},
		"a fork": {patches: fork, want: "4"},
		"two of a name": {patches: fork, choice: Choice{Name: "mon"}, err: ErrAmbiguous,
			want: `"mon" is the name of several states`},
		"by snapshot": {patches: week, choice: Choice{Name: "vg/mon"}, want: "2"},
		"by UUID":     {patches: week, choice: Choice{Name: "b"}, want: "2"},
		"by id":       {patches: week, choice: Choice{Name: id(2).String()}, want: "2"},
		"by a common beginning": {patches: week, choice: Choice{Name: "0000"}, err: ErrAmbiguous,
			want: "several states"},
		"by what it was merged from": {patches: []*Patch{full(1, 2, merged(7))},
			choice: Choice{Name: id(7).String()}, want: "1"},
		"no name": {patches: week, choice: Choice{Name: "wed"}, want: `no state has the name "wed"`,
			err: ErrNoState},
		"an undo patch": {patches: append(week[:1:1], patch(9, 3, 9, kind(format.Undo),
			follows(1))), choice: Choice{Name: "9"}, want: "9 is an undo patch", err: ErrNoState},
		"in doubt":       {patches: doubt, want: "in doubt: 2 after 1: it starts", err: ErrDoubt},
		"in doubt later": {patches: doubt, choice: Choice{At: hour(3)}, want: "1"},
		"led back, older by time": {patches: back, want: "which is the newest can't be told",
			err: ErrAmbiguous},
		"led back to where it was": {patches: slices.Concat(week[:2], []*Patch{patch(4, 5, 9,
			from("B"), to("A"))}), want: "which is the newest can't be told", err: ErrAmbiguous},
		"without a time": {patches: []*Patch{full(1, 2), full(2, 0, undated)},
			want: "which is the newest can't be told", err: ErrAmbiguous},
		"at the same time": {patches: []*Patch{full(1, 2), full(2, 2)},
			want: "which is the newest can't be told", err: ErrAmbiguous},
		"two dumps": {patches: slices.Concat(week, []*Patch{patch(4, 5, 100, from("A"), to("C"))}),
			want: "4"},
		"two dumps, by file": {patches: slices.Concat(week, []*Patch{patch(4, 4, 1, from("A"),
			to("C"))}), choice: Choice{Name: "3"}, want: "3"},
		"the other way": {patches: slices.Concat(week, []*Patch{patch(4, 5, 1, from("X"),
			to("C"))}), choice: Choice{Name: "4"}, want: "3"},
		"a damaged file": {patches: week, files: []File{file("x", Damaged)},
			want: "x may have a newer state than that of", err: format.ErrTruncated},
		"a damaged file, by name": {patches: week, files: []File{file("x", Damaged)},
			choice: Choice{Name: "tue"}, want: "3"},
		"the damaged file, by name": {patches: week, files: []File{file("d/x", Damaged)},
			choice: Choice{Name: "x"}, want: "d/x: patch is truncated", err: format.ErrTruncated},
		"a later damaged file": {patches: week, files: []File{file("x", Truncated, late)},
			want: "x may have", err: format.ErrTruncated},
		"a damaged file, later than asked for": {patches: week, files: []File{file("x", Truncated,
			late)}, choice: Choice{At: made("C")}, want: "3"},
		"an older damaged file": {patches: week[2:], files: []File{file("x", Truncated, week[1])},
			want: "and x can't be used: patch is truncated", err: ErrGap},
		"a damaged file that matters not": {patches: fork, files: []File{file("x", Truncated,
			week[1])}, want: "4"},
		"a copy that is not whole": {patches: week, files: []File{file("x", Truncated, week[2])},
			want: "3"},
		"a damaged undo patch": {patches: week, files: []File{file("x", Damaged,
			patch(9, 9, 9, kind(format.Undo)))}, want: "3"},
		"a text": {patches: week, files: []File{file("notes", Foreign)}, want: "3"},
		"an emptied patch": {patches: week, files: []File{file("x.lvmpatch", Foreign)},
			want: "x.lvmpatch may", err: format.ErrTruncated},
		"a dump runs": {patches: week, files: []File{file("d/.x", Unfinished)}, want: "3"},
		"a copy is coming": {patches: week, files: []File{file("d/x", Unfinished)}, want: "d/x may",
			err: format.ErrTruncated},
		"nothing but damage": {files: []File{file("x", Damaged)}, want: "no patch can be used",
			err: format.ErrTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			a := New(tt.patches)
			a.Files = tt.files
			p, err := a.Select(tt.choice)
			switch {
			case tt.err == nil && (err != nil || p.Path != tt.want):
				t.Errorf("%v, %v, want %s", p, err, tt.want)
			case tt.err != nil && (!errors.Is(err, tt.err) || p != nil ||
				!strings.Contains(err.Error(), tt.want)):
				t.Errorf("%v, %v, want %v: %s", p, err, tt.err, tt.want)
			}
		})
	}
}

// An error lists the last states only.
func TestSelectLists(t *testing.T) {
	var patches []*Patch
	for i := range 9 {
		patches = append(patches, patch(i+1, i, 9, kind(format.Full)))
	}
	_, err := New(patches).Select(Choice{Name: "x"})
	want := fmt.Sprintf("there are the states of %s (9), %s (8)", clock(hour(8)), clock(hour(7)))
	if text := fmt.Sprint(err); !strings.Contains(text, want) ||
		!strings.HasSuffix(text, "(5), and 4 older ones") {
		t.Error(text)
	}
}

// A file is known without its ending, too, after the one that has just that name.
func TestSelectStem(t *testing.T) {
	sun, other := patch(1, 1, 9, kind(format.Full)), patch(2, 2, 9, kind(format.Full))
	sun.Path, other.Path = "d/sun.lvmpatch", "d/mon"
	for _, name := range []string{"sun", "d/sun", "sun.lvmpatch"} {
		if p, err := New([]*Patch{sun, other}).Select(Choice{Name: name}); p != sun {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	other.Path = "d/sun"
	if p, err := New([]*Patch{sun, other}).Select(Choice{Name: "sun"}); p != other {
		t.Errorf("%v, %v", p, err)
	}
}

// What is said of a time is meant to its end: a list shows states to the minute.
func TestParseTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for text, want := range map[string]string{
		"2026-11-20":                "2026-11-20T23:59:59.999999999+01:00",
		"2026-10-25":                "2026-10-25T23:59:59.999999999+01:00", // of 25 hours
		"2026-11-20 03:00":          "2026-11-20T03:00:59.999999999+01:00",
		"2026-07-20T03:00":          "2026-07-20T03:00:59.999999999+02:00",
		"2026-11-20 03:00:07":       "2026-11-20T03:00:07.999999999+01:00",
		"2026-11-20T03:00:07Z":      "2026-11-20T03:00:07.999999999Z",
		"2026-11-20 03:00:07+05:00": "2026-11-20T03:00:07.999999999+05:00",
		"2026-11-20T03:00:07.25Z":   "2026-11-20T03:00:07.25Z",
		"2026-11-20 03":             "", "20.11.2026": "", "": "", "2026-02-30": "",
		"yesterday": "",
	} {
		got, err := ParseTime(text, berlin)
		if want == "" && err == nil || want != "" && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
	}
}
