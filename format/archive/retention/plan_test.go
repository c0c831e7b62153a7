package retention

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/archive"
)

func id(name string) (u uuid.UUID) {
	copy(u[:], name)
	return u
}

// made is when a snapshot was: A on the first day, B on the second.
func made(snapshot string) time.Time {
	return time.Date(2026, 5, int(snapshot[0]-'A')+1, 12, 0, 0, 0, time.UTC)
}

// patch makes a patch of a text: its name, where it starts from and where it leads, such as "mon
// A>B"; without the first it is full, behind ~ it names nothing that it starts from.
func patch(text string) *archive.Patch {
	name, way, _ := strings.Cut(text, " ")
	from, to, _ := strings.Cut(way, ">")
	h := format.Header{ID: id(name), Kind: format.Full, Created: made(to).Add(time.Hour),
		VolumeSize: 1 << 20, Granularity: 4096,
		Source: format.Source{Type: "thick", LVUUID: "V"},
		State:  &format.State{Snapshot: to, SnapshotCreated: made(to)}}
	switch from {
	case "":
	case "~":
		h.Kind, h.State = format.Delta, nil
	case "undo":
		h.Kind = format.Undo
	default:
		h.Kind, h.Base = format.Delta, &format.Base{Snapshot: from, SnapshotCreated: made(from)}
	}
	return &archive.Patch{Path: name, Header: h, Size: 100}
}

// told is all that a plan says.
func told(p Plan) string {
	names := func(patches []*archive.Patch) string {
		var list []string
		for _, p := range patches {
			list = append(list, p.Path)
		}
		return strings.Join(list, "+")
	}
	var parts []string
	for _, v := range p.Volumes {
		var kept []string
		for _, k := range v.Kept {
			kept = append(kept, k.Path)
		}
		if len(kept) > 0 {
			parts = append(parts, "keep "+strings.Join(kept, "+"))
		}
		for _, s := range v.Steps {
			if len(s.Merge) > 0 {
				parts = append(parts, "merge "+names(s.Merge))
			}
			if len(s.Remove) > 0 {
				parts = append(parts, "remove "+names(s.Remove))
			}
		}
		p.Left = append(p.Left, v.Left...)
	}
	for _, l := range p.Left {
		parts = append(parts, "left "+l.Path)
	}
	return strings.Join(parts, "; ")
}

func TestPlan(t *testing.T) {
	chain := []string{"f >A", "1 A>B", "2 B>C", "3 C>D"}
	with := func(more ...string) []string { return append(chain[:len(chain):len(chain)], more...) }
	for name, tt := range map[string]struct {
		patches []string
		last    int
		want    string
	}{
		"nothing":      {nil, 1, ""},
		"all are kept": {chain, 9, "keep f+1+2+3"},
		"the oldest kept one becomes full": {chain, 2,
			"keep 2+3; merge f+1+2; remove 1+f"},
		"one is kept":   {chain, 1, "keep 3; merge f+1+2+3; remove 2+1+f"},
		"no full patch": {chain[1:], 1, "keep 3; merge 1+2+3; remove 2+1"},
		"an older full patch": {with("g >E", "4 E>F"), 2,
			"keep g+4; remove 3+2+1+f"},
		"some of each full patch": {with("g >E", "4 E>F"), 3,
			"keep 3+g+4; merge f+1+2+3; remove 2+1+f"},
		"a fork that two kept states need": {[]string{"f >A", "1 A>B", "2 B>C", "3 B>D"}, 2,
			"keep 2+3; merge f+1; remove f"},
		"a fork of which one is kept": {[]string{"f >A", "1 A>B", "2 B>C", "3 B>D"}, 1,
			"keep 3; merge f+1+3; remove 2+1+f"},
		"two ways to one state": {with("x C>D"), 1, "keep 3; merge f+1+2+3; remove x+2+1+f"},
		"a gap": {[]string{"f >A", "1 A>B", "3 C>D", "4 D>E"}, 1,
			"keep 1; merge f+1; remove f; left 3; left 4"},
		"several that start from what is not here": {[]string{"1 A>B", "3 C>D"}, 1,
			"left 1; left 3"},
		"several that start from the same": {[]string{"1 A>B", "2 A>C", "3 C>D"}, 1,
			"keep 3; merge 2+3; remove 2; remove 1"},
		"a doubt": {with("4 ~>E"), 1, "left 4; left f; left 1; left 2; left 3"},
		"one that names nothing, older than all": {with("4 ~>@"), 1,
			"left 4; left f; left 1; left 2; left 3"},
		"undo patches": {with("u undo>A"), 4, "keep f+1+2+3; left u"},
		"one that must stay": {[]string{"f >A", "fixed A>B", "2 B>C", "3 C>D"}, 1,
			"keep fixed+3; merge 2+3; remove 2"},
		"what follows must stay": {[]string{"f >A", "1 A>B", "fixed B>C"}, 1,
			"keep fixed; merge f+1; remove f"},
	} {
		t.Run(name, func(t *testing.T) {
			var patches []*archive.Patch
			for _, text := range tt.patches {
				patches = append(patches, patch(text))
			}
			o := Options{Policy: Policy{Last: tt.last}, Now: made("Z"),
				Fixed: func(p *archive.Patch) string {
					return strings.TrimPrefix(p.Path, strings.TrimPrefix(p.Path, "fixed"))
				}}
			if got := told(New(archive.New(patches), o)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// More patches than are merged at once become one all the same, in parts.
func TestPlanInParts(t *testing.T) {
	var patches []*archive.Patch
	for i := range 2 * maxMerge {
		h := format.Header{ID: id(fmt.Sprintf("%016d", i)), Kind: format.Delta, VolumeSize: 1 << 20,
			Granularity: 4096, Created: made("A").Add(time.Duration(i) * time.Hour),
			Source: format.Source{Type: "thick", LVUUID: "V"}}
		if i == 0 {
			h.Kind = format.Full
		} else {
			h.Base = &format.Base{Patch: id(fmt.Sprintf("%016d", i-1))}
		}
		patches = append(patches, &archive.Patch{Path: fmt.Sprint(i), Header: h, Size: 1})
	}
	a := archive.New(patches)
	p := New(a, Options{Policy: Policy{Last: 1}, Now: made("Z")})
	at, removed := 0, 0
	for _, s := range p.Volumes[0].Steps {
		for i, m := range s.Merge {
			if want := fmt.Sprint(at + i); m.Path != want {
				t.Fatalf("%s is merged, want %s", m.Path, want)
			}
		}
		at += len(s.Merge) - 1
		for i, r := range s.Remove {
			if want := fmt.Sprint(at - 1 - i); r.Path != want {
				t.Fatalf("%s is removed, want %s", r.Path, want)
			}
		}
		removed += len(s.Remove)
	}
	if len(p.Volumes[0].Steps) != 3 || at != len(patches)-1 || removed != at {
		t.Errorf("%d steps up to %d, %d removed", len(p.Volumes[0].Steps), at, removed)
	}
}

// A volume in doubt may be pruned if the user takes its order for sure.
func TestPlanTrusts(t *testing.T) {
	patches := []*archive.Patch{patch("f >A"), patch("1 ~>B")}
	o := Options{Policy: Policy{Last: 1}, Now: made("Z"), Trust: true}
	if got, want := told(New(archive.New(patches), o)),
		"keep 1; merge f+1; remove f"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
