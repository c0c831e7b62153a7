package retention

import (
	"fmt"
	"strconv"
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
// A>B"; without the first it is full, behind ~ it names nothing that it starts from. What else is
// told of it stands behind that: small, lost, rest, link, unset, of=VOLUME, on=HOST, device=UUID,
// at=DAY or dumped=DAY (as that of a snapshot), up=HOURS (of one host), has=PATCH (that it was
// merged of).
func patch(text string) *archive.Patch {
	words := strings.Fields(text)
	from, to, _ := strings.Cut(words[1], ">")
	h := format.Header{ID: id(words[0]), Kind: format.Full, Created: made(to).Add(time.Hour),
		VolumeSize: 1 << 20, Granularity: 4096,
		Source: format.Source{Type: "thick", LVUUID: "V", Path: "V"},
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
	p := &archive.Patch{Path: words[0], Header: h, Size: 100}
	for _, word := range words[2:] {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "small":
			p.Size = 10
		case "lost":
			p.Header.RequiredFeatures = []string{format.LostSectors}
		case "unset":
			p.Header.State.SnapshotCreated = time.Unix(0, 0)
		case "link":
			p.Link = true
		case "rest":
			p.Header.Start = 512
		case "on":
			p.Header.Host = value
		case "at":
			p.Header.State.SnapshotCreated = made(value)
		case "device":
			p.Header.Source.LVUUID, p.Header.Source.DeviceUUID = "", value
		case "up":
			hours, _ := strconv.Atoi(value)
			p.Header.Host, p.Header.Source.BootID = "host", "boot"
			p.Header.Source.Uptime = int64(hours) * time.Hour.Milliseconds()
		case "dumped":
			p.Header.Created = made(value)
		case "has":
			p.Header.Merged = &format.Merged{Patches: []uuid.UUID{id(value)}}
			p.Header.State.Patch = id(value)
		case "of":
			p.Header.Source.LVUUID, p.Header.Source.Path = value, value
		}
	}
	return p
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
			if len(s.Copies) > 0 {
				parts = append(parts, "copies "+names(s.Copies))
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
		"two dumps of one state":         {with("x C>D"), 1, "keep 3+x; merge f+1+2; remove 1+f"},
		"two dumps of a state that goes": {with("x B>C"), 1, "keep 3; merge f+1+2+3; remove x+2+1+f"},
		"the last one before what follows": {with("x B>C small dumped=F"), 1,
			"keep 3; merge f+1+2+3; remove x+2+1+f"},
		"one that was made of the other": {with("x >D has=3"), 1, "keep x; remove 3+2+1+f"},
		"one merged before, what it starts from has gone": {
			[]string{"x >D has=2", "2 B>C", "4 D>E"}, 1, "keep 4; merge x+4; remove x; left 2"},
		"one merged before, and what follows it": {
			[]string{"x >D has=2", "2 B>C", "3 C>D", "4 D>E"}, 1,
			"left x; left 4; left 2; left 3"},
		"links to others": {with("link >A link"), 1, "keep f+link+3; merge 1+2+3; remove 2+1"},
		"a clock that was not set": {with("4 D>E unset", "5 E>F"), 1,
			"keep 4+5; merge f+1+2+3+4; remove 3+2+1+f"},
		"a clock that was ahead": {with("4 D>a", "5 a>E", "6 E>F"), 1,
			"keep 6+4; merge f+1+2+3+4; remove 3+2+1+f; merge 5+6; remove 5"},
		"a clock that was set back at the end": {
			[]string{"f >C", "1 C>D", "2 D>E", "3 E>A", "4 A>B"}, 1,
			"keep 3+4+f+1+2"},
		"a clock that was set back behind a full patch": {
			[]string{"g >I", "f >J", "1 J>G", "2 G>H"}, 1, "keep 1+2+g+f"},
		"a clock that was set back, or ahead": {[]string{"g >I", "f >J", "1 J>H"}, 1, "keep 1+g+f"},
		"a clock that was set back, which the time since the boot tells": {
			[]string{"f >B up=1", "1 B>F up=50", "2 B>G up=60", "3 B>C up=70"}, 1,
			"keep 3+1+2"},
		"two within a second": {[]string{"f >A", "1 A>B", "2 B>C at=B"}, 1,
			"keep 1+2; merge f+1; remove f"},
		"a link, and another dump": {
			[]string{"f >A", "1 A>B link", "x A>B dumped=E", "3 B>C dumped=F",
				"4 C>D dumped=G"}, 1, "keep 1+x+4; merge 3+4; remove 3"},
		"dumped before what it follows": {
			[]string{"f >A", "1 A>B dumped=H", "2 B>C dumped=E", "y A>C dumped=D"}, 1, "keep y+2"},
		"two devices of one path": {[]string{"f >A device=x", "1 A>C device=x", "g >B device=y",
			"2 B>D device=y"}, 1, "keep 1+2; merge f+1; remove f; merge g+2; remove g"},
		"two hosts with one UUID": {[]string{"f >A on=x", "1 A>C on=x", "g >B on=y", "2 B>D on=y"},
			1, "keep 1+2; merge f+1; remove f; merge g+2; remove g"},
		"a gap": {[]string{"f >A", "1 A>B", "3 C>D", "4 D>E"}, 1,
			"left f; left 1; left 3; left 4"},
		"a gap where there is no full patch": {[]string{"1 A>B", "2 B>C", "4 D>E"}, 1,
			"left 1; left 2; left 4"},
		"the rest of an interrupted run": {with("4 D>E rest"), 1,
			"left f; left 1; left 2; left 3; left 4"},
		"the rest of one as the first": {[]string{"1 A>B rest", "2 B>C"}, 1, "left 1; left 2"},
		"a smaller way with lost sectors": {with("x C>D small lost"), 1,
			"keep 3+x; merge f+1+2; remove 1+f"},
		"lost sectors in a way's midst": {[]string{"f >A", "1 A>B lost small", "2 B>C small",
			"x A>B", "y A>C"}, 1, "keep 2+y; merge x+2; remove x; remove 1"},
		"lost sectors in each way": {with("x C>D lost", "y C>D lost small")[:6:6], 1,
			"keep 3+x+y; merge f+1+2; remove 1+f"},
		"lost sectors in each of two ways": {[]string{"f >A", "1 A>B lost", "x A>B lost small"}, 1,
			"left f; left 1; left x"},
		"a template and its clones": {[]string{"t >A", "1 A>B", "c A>C of=W", "2 C>D of=W",
			"d A>E of=X", "3 E>F of=X"}, 1, "keep 1+2+3; merge c+2; remove c; merge d+3; remove d"},
		"a clone that is not backed up any more": {[]string{"t >A", "c A>B of=W", "1 A>C", "2 C>D"},
			1, "keep c+2; merge 1+2; remove 1"},
		"several that start from what is not here": {[]string{"1 A>B", "3 C>D"}, 1,
			"left 1; left 3"},
		"several that start from the same": {[]string{"1 A>B", "2 A>C", "3 C>D"}, 1,
			"keep 3; merge 2+3; remove 2; remove 1"},
		"a doubt": {with("4 ~>E"), 1, "left f; left 1; left 2; left 3; left 4"},
		"one that names nothing, older than all": {with("4 ~>@"), 1,
			"left f; left 1; left 2; left 3; left 4"},
		"a clock that was set back": {[]string{"f >A", "1 A>D", "2 D>B", "3 B>C"}, 1,
			"keep f+2+3+1"},
		"undo patches": {with("u undo>A"), 4, "keep f+1+2+3; left u"},
		"one that must stay": {[]string{"f >A", "fixed A>B link", "2 B>C", "3 C>D"}, 1,
			"keep fixed+3; merge 2+3; remove 2"},
		"what follows must stay": {[]string{"f >A", "1 A>B", "fixed B>C link"}, 1,
			"keep fixed; merge f+1; remove f"},
	} {
		t.Run(name, func(t *testing.T) {
			var patches []*archive.Patch
			for _, text := range tt.patches {
				patches = append(patches, patch(text))
			}
			o := Options{Policy: Policy{Last: tt.last}, Now: made("Z")}
			if got := told(New(archive.New(patches), o)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// More patches than are merged at once become one all the same, in parts, and the first, which is
// large, is written once.
func TestPlanInParts(t *testing.T) {
	for _, n := range []int{2, maxMerge, maxMerge + 1, maxMerge + 2, 2*maxMerge + 2,
		(maxMerge-1)*maxMerge + 3} {
		var patches []*archive.Patch
		for i := range n {
			h := format.Header{ID: id(fmt.Sprintf("%016d", i)), Kind: format.Delta,
				VolumeSize: 1 << 20, Granularity: 4096,
				Created: made("A").Add(time.Duration(i) * time.Minute),
				Source:  format.Source{Type: "thick", LVUUID: "V"}}
			if i == 0 {
				h.Kind = format.Full
			} else {
				h.Base = &format.Base{Patch: id(fmt.Sprintf("%016d", i-1))}
			}
			patches = append(patches, &archive.Patch{Path: fmt.Sprint(i), Header: h, Size: 1})
		}
		p := New(archive.New(patches), Options{Policy: Policy{Last: 1}, Now: made("Z")})
		there, full, last := make(map[string]bool), 0, 0
		for i := range n {
			there[fmt.Sprint(i)] = true
		}
		for _, s := range p.Volumes[0].Steps {
			if len(s.Merge) > maxMerge {
				t.Errorf("%d patches: %d at once", n, len(s.Merge))
			}
			for _, m := range s.Merge {
				if !there[m.Path] {
					t.Fatalf("%d patches: %s is merged again", n, m.Path)
				}
				switch m.Path {
				case "0":
					full++
				case fmt.Sprint(n - 1):
					last++
				}
			}
			for _, r := range s.Remove {
				delete(there, r.Path)
			}
		}
		if len(there) != 1 || !there[fmt.Sprint(n-1)] || full != 1 || last != 1 {
			t.Errorf("%d patches: %v is left; the first is merged %d times, the last %d", n, there,
				full, last)
		}
	}
}
