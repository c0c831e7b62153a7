package archive

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
)

// A tweak changes something of a header.
type tweak func(*format.Header)

func hour(n int) time.Time { return time.Date(2026, 5, 6, n, 0, 0, 0, time.UTC) }

func id(n int) uuid.UUID { return uuid.UUID{14: byte(n >> 8), 15: byte(n)} }

func kind(k format.Kind) tweak { return func(h *format.Header) { h.Kind = k } }

func size(n int64) tweak { return func(h *format.Header) { h.VolumeSize = n } }

func path(name string) tweak {
	return func(h *format.Header) { h.Source.LVUUID, h.Source.Path = "", name }
}

func from(snapshot string) tweak {
	return func(h *format.Header) {
		h.Base = &format.Base{Snapshot: snapshot, SnapshotCreated: made(snapshot)}
	}
}

func to(snapshot string) tweak {
	return func(h *format.Header) {
		h.State = &format.State{Snapshot: snapshot, SnapshotCreated: made(snapshot)}
	}
}

// made is when a snapshot was: A at one o'clock, B at two.
func made(snapshot string) time.Time { return hour(int(snapshot[0]-'A') + 1) }

func follows(n int) tweak {
	return func(h *format.Header) { h.Base = &format.Base{Patch: id(n)} }
}

func merged(n int) tweak {
	return func(h *format.Header) {
		if h.State == nil {
			h.State = new(format.State)
		}
		h.State.Patch = id(n)
	}
}

func rest(h *format.Header) { h.Start = 512 }

// patch is a delta of volume V of 1 MiB, of so many bytes.
func patch(n, at int, bytes int64, tweaks ...tweak) *Patch {
	h := format.Header{ID: id(n), Kind: format.Delta, Created: hour(at), VolumeSize: 1 << 20,
		Granularity: 4096, Source: format.Source{Type: "thick", LVUUID: "V"}}
	for _, t := range tweaks {
		t(&h)
	}
	return &Patch{Path: fmt.Sprint(n), Header: h, Size: bytes}
}

// told is all that an archive says of which patch follows which: each chain with its states' ways.
func told(a *Archive) string {
	var volumes []string
	for _, v := range a.Volumes {
		var parts []string
		for _, c := range v.Chains {
			for _, p := range c.Patches {
				way := ""
				for _, q := range p.Chain() {
					way += "-" + q.Path
				}
				if p.InDoubt() {
					way += "?"
				}
				if p.Gap != "" {
					way += "!"
				}
				parts = append(parts, way[1:])
			}
		}
		for _, p := range v.Undo {
			parts = append(parts, "undo "+p.Path)
		}
		volumes = append(volumes, strings.Join(parts, " "))
	}
	for _, f := range a.Files {
		volumes = append(volumes, string(f.Status)+" "+f.Path)
	}
	return strings.Join(volumes, "; ")
}

func losing(h *format.Header) { h.RequiredFeatures = []string{format.LostSectors} }

func TestNew(t *testing.T) {
	full := func(n, at int, tweaks ...tweak) *Patch {
		return patch(n, at, 1000, append([]tweak{kind(format.Full)}, tweaks...)...)
	}
	for name, tt := range map[string]struct {
		patches []*Patch
		want    string
		gaps    int
	}{
		"nothing":  {nil, "", 0},
		"one full": {[]*Patch{full(1, 1)}, "1", 0},
		"by snapshots": {[]*Patch{full(1, 2, to("A")), patch(2, 3, 9, from("A"), to("B")),
			patch(3, 4, 9, from("B"), to("C"))}, "1 1-2 1-2-3", 0},
		"a gap": {[]*Patch{full(1, 2, to("A")), patch(3, 4, 9, from("B"), to("C"))}, "1 3!", 1},
		"deltas alone": {[]*Patch{patch(2, 3, 9, from("A"), to("B")),
			patch(3, 4, 9, from("B"), to("C"))}, "2! 2-3", 0},
		"a fork": {[]*Patch{full(1, 2, to("A")), patch(2, 3, 9, from("A"), to("B")),
			patch(3, 4, 9, from("A"), to("C"))}, "1 1-2 1-3", 0},
		"all since one snapshot": {[]*Patch{full(1, 2, to("A")), patch(2, 3, 9, from("A")),
			patch(3, 4, 12, from("A"))}, "1 1-2 1-3", 0},
		"the shorter way": {[]*Patch{full(1, 2, to("A")), patch(2, 3, 9, from("A"), to("B")),
			patch(3, 4, 9, from("B"), to("C")), patch(4, 4, 10, from("A"), to("C")),
			patch(5, 5, 1, from("C"), to("D"))}, "1 1-2 1-2-3 1-4 1-4-5", 0},
		"the way that has lost nothing": {[]*Patch{
			patch(1, 2, 500, kind(format.Full), to("A"), losing), full(2, 3, to("A")),
			patch(3, 4, 9, from("A"), to("B"))}, "1 2 2-3", 0},
		"full in between": {[]*Patch{full(1, 2, to("A")), patch(2, 3, 9, from("A"), to("B")),
			full(3, 4, to("C")), patch(4, 5, 9, from("C"))}, "1 1-2 3 3-4", 0},
		"back to an older state": {[]*Patch{full(1, 2, to("A")), patch(2, 3, 9, from("A"), to("B")),
			patch(3, 4, 9, from("B"), to("A"))}, "1 1-2-3 1-2", 0},
		"a ring": {[]*Patch{patch(2, 3, 9, from("A"), to("B")), patch(3, 4, 9, from("B"), to("A"))},
			"3! 3-2", 0},
		"merged, and what followed the last": {[]*Patch{full(1, 3, merged(7)),
			patch(2, 4, 9, follows(7))}, "1 1-2", 0},
		"merged, and the last as well": {[]*Patch{full(1, 3, merged(7), to("B")),
			full(7, 3, to("B")), patch(2, 4, 9, from("B"))}, "1 1-2 7", 0},
		"undo": {[]*Patch{full(1, 2, to("A")), patch(9, 3, 9, kind(format.Undo), follows(1))},
			"1 undo 9", 0},
		"undo alone": {[]*Patch{patch(9, 3, 9, kind(format.Undo), follows(1))}, "undo 9", 0},
		"in time":    {[]*Patch{full(1, 2), patch(2, 5, 9, from("A"))}, "1 1-2", 0},
		"in time, from a later snapshot": {[]*Patch{full(1, 2), patch(2, 5, 9, from("C"))},
			"1 1-2?", 0},
		"nothing but the date":    {[]*Patch{full(1, 2), patch(2, 5, 9)}, "1 1-2?", 0},
		"older than the full one": {[]*Patch{full(1, 5), patch(2, 2, 9, from("A"))}, "1 2!", 1},
		"rest of a run": {[]*Patch{full(1, 2, to("A")), patch(2, 3, 9, from("A"), rest)},
			"1 2!", 1},
		"rest of a run, alone": {[]*Patch{patch(2, 3, 9, from("A"), rest)}, "2!", 1},
		"smaller": {[]*Patch{full(1, 2, to("A")), patch(2, 3, 9, from("A"), size(512))},
			"1 2!", 1},
		"grown": {[]*Patch{full(1, 2, to("A")), patch(2, 3, 9, from("A"), size(1<<21))},
			"1 1-2", 0},
		"two volumes": {[]*Patch{full(1, 2, path("a")), full(2, 2, path("b")),
			patch(3, 3, 9, path("b"))}, "1; 2 2-3?", 0},
		"a snapshot of the same name, made again": {[]*Patch{full(1, 2, to("A")),
			patch(2, 4, 9, from("C"), to("D"))}, "1 2!", 1},
		"a copy": {[]*Patch{full(1, 2), full(1, 2)}, "1; copy 1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 { // whatever the order
				rand.Shuffle(len(tt.patches), func(i, j int) {
					tt.patches[i], tt.patches[j] = tt.patches[j], tt.patches[i]
				})
				a := New(tt.patches)
				gaps := 0
				for _, v := range a.Volumes {
					gaps += len(v.Gaps())
				}
				if got := told(a); got != tt.want || gaps != tt.gaps {
					t.Fatalf("%q and %d gaps, want %q and %d", got, gaps, tt.want, tt.gaps)
				}
			}
		})
	}
}
