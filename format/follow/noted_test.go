package follow

import (
	"testing"

	"github.com/google/uuid"

	"lvmsync/format"
)

func thin(h *format.Header) { h.Source.Type = "thin" }

// noted says that a patch is in the note of a snapshot with that id.
func noted(snapshot string, id byte) tweak {
	return func(h *format.Header) {
		if h.Source.Noted == nil {
			h.Source.Noted = make(map[string]uuid.UUID)
		}
		h.Source.Noted[snapshot] = number(id)
	}
}

// behind says what had been noted for the snapshot that a patch starts from, or leads back to.
func behind(ids ...byte) tweak {
	return func(h *format.Header) {
		for _, id := range ids {
			h.Source.NotedBefore = append(h.Source.NotedBefore, number(id))
		}
	}
}

// ofAll says that a patch has all of the volume.
func ofAll(h *format.Header) { h.Planned = &format.Planned{Bytes: h.VolumeSize} }

// backTo says that a patch leads back to a snapshot, which somebody may be writing to.
func backTo(snapshot string) tweak {
	return func(h *format.Header) { h.Base, h.Source.SnapshotUUID = &format.Base{}, snapshot }
}

// unnamed is a base without a name: a volume that is no snapshot.
func unnamed(h *format.Header) { h.Base = &format.Base{} }

func reads(kind string) tweak { return func(h *format.Header) { h.Source.Type = kind } }

// What two patches of thin volumes tell, as misfits has it. Of what one leaves out because neither
// of two thin volumes maps it, only notes of the dumps tell.
var thinMisfits = []struct {
	name          string
	a, b          format.Header
	reason, doubt string
}{
	// Patches of programs that noted what they sent, and didn't tell.
	{"since one that was there", ordered(1, 9, thin, kind(format.Full), knowing("S")),
		ordered(2, 11, thin, since("S", 10), knowing("S")),
		"", "does not tell that it was noted for that"},
	{"to another, since one that was there", ordered(1, 9, thin, kind(format.Full), knowing("S")),
		ordered(2, 12, thin, since("S", 8), upTo("T", 10), knowing("S", "T")),
		"", "and what was written while the one before was dumped, from"},
	{"since one that was there, of a delta", ordered(1, 9, thin, since("R", 7), knowing("S")),
		ordered(2, 11, thin, since("S", 8), knowing("S")), "the one before leads past it", ""},
	{"back to one that was there", ordered(1, 9, thin, kind(format.Full), knowing("S")),
		ordered(2, 11, thin, backTo("S"), upTo("S", 8), knowing("S")),
		"", "it leads back to snapshot S, and the one before does not tell that it was noted"},
	{"both since one snapshot", ordered(1, 9, thin, since("S", 8)),
		ordered(2, 10, thin, since("S", 8)), "", "what was discarded between the two may be left"},
	{"to one snapshot and since the same", ordered(1, 9, thin, since("S", 7), upTo("T", 8)),
		ordered(2, 10, thin, since("S", 7)), "", "this is older"},
	{"from an older snapshot", ordered(1, 9, thin, upTo("T", 8)),
		ordered(2, 10, thin, since("S", 7)),
		"it starts from snapshot S, where the one before does not lead", ""},
	{"since a snapshot older than the one before", ordered(1, 9, thin, kind(format.Full)),
		ordered(2, 10, thin, since("S", 8)),
		"the one before leads past it: what was written after that", ""},
	{"since a snapshot made after the one before", ordered(1, 9, thin, kind(format.Full)),
		ordered(2, 11, thin, since("S", 10)), "", "if the volume was in use between"},
	{"back from the volume", ordered(1, 9, thin, kind(format.Full)),
		ordered(2, 11, thin, backTo("S"), upTo("S", 8)), "", "something may be left"},
	{"back from the volume after one from there", ordered(1, 9, thin, since("S", 8)),
		ordered(2, 11, thin, backTo("S"), upTo("S", 8)),
		"", "what was discarded between the two may be left"},
	{"back from the volume after a newer snapshot",
		ordered(1, 10, thin, kind(format.Full), upTo("T", 9)),
		ordered(2, 11, thin, backTo("S"), upTo("S", 8)), "", "something may be left"},
	{"back from the volume after one from there to a newer snapshot",
		ordered(1, 10, thin, since("S", 8), upTo("T", 9)),
		ordered(2, 11, thin, backTo("S"), upTo("S", 8)),
		"", "this is older than where the one before leads"},
	{"back to a snapshot in use", ordered(1, 9, thin, kind(format.Full)),
		ordered(2, 11, thin, backTo("S")), "", "something may be left"},

	// In one note.
	{"of a volume in use, and from its snapshot",
		ordered(1, 9, thin, kind(format.Full), noted("S", 7)),
		ordered(2, 11, thin, since("S", 8), noted("S", 9), behind(3, 7)), "", ""},
	{"of a volume in use, and to another snapshot",
		ordered(1, 9, thin, kind(format.Full), noted("S", 7)),
		ordered(2, 12, thin, since("S", 8), upTo("T", 10), noted("S", 9), behind(3, 7)), "", ""},
	{"of a volume in use, and to a snapshot from before",
		ordered(1, 9, thin, kind(format.Full), noted("S", 7)),
		ordered(2, 12, thin, since("S", 7), upTo("T", 8), noted("S", 9), behind(3, 7)), "", ""},
	{"of a volume in use, and back to its snapshot",
		ordered(1, 9, thin, kind(format.Full), noted("S", 7)),
		ordered(2, 11, thin, backTo("S"), noted("S", 9), behind(3, 7)), "", ""},
	{"of a volume compared with something, and from its snapshot",
		ordered(1, 9, reads("device"), noted("S", 7)),
		ordered(2, 11, thin, since("S", 8), noted("S", 9), behind(3, 7)), "", ""},
	{"twice from a snapshot", ordered(1, 9, thin, since("S", 8), noted("S", 7)),
		ordered(2, 10, thin, since("S", 8), noted("S", 9), behind(3, 7)), "", ""},
	{"from a snapshot and back to it", ordered(1, 9, thin, since("S", 8), noted("S", 7)),
		ordered(2, 10, thin, backTo("S"), upTo("S", 8), noted("S", 9), behind(3, 7)), "", ""},
	{"to two clones, the clock set back between",
		ordered(1, 11, thin, since("S", 6), upTo("T", 7), noted("S", 7)),
		ordered(2, 10, thin, since("S", 6), upTo("U", 8), noted("S", 9), behind(3, 7)), "", ""},
	{"to two clones, the later one first",
		ordered(1, 11, thin, since("S", 6), upTo("T", 7), noted("S", 9), behind(3, 7)),
		ordered(2, 10, thin, since("S", 6), upTo("U", 8), noted("S", 7), behind(3)),
		"it was dumped before the one before, which brings again", ""},
	{"to two clones, the later one first, nothing told",
		ordered(1, 11, thin, since("S", 6), upTo("T", 7)),
		ordered(2, 10, thin, since("S", 6), upTo("U", 8)), "it is older, made", ""},
	{"from a snapshot, the clock set back between",
		ordered(1, 11, thin, since("S", 6), upTo("T", 7), noted("S", 7)),
		ordered(2, 10, thin, since("S", 6), noted("S", 9), behind(3, 7)), "", ""},
	{"from a snapshot, the later one first",
		ordered(1, 11, thin, since("S", 6), upTo("T", 7), noted("S", 9), behind(3, 7)),
		ordered(2, 10, thin, since("S", 6), noted("S", 7), behind(3)),
		"it was dumped before the one before, which brings again", ""},
	{"of the same id, as programs told notes before",
		ordered(1, 9, thin, kind(format.Full), noted("S", 7)),
		ordered(2, 11, thin, since("S", 8), noted("S", 7)), "", "what was discarded between"},
	{"of the same id, to the next snapshot",
		ordered(1, 9, thin, kind(format.Full), upTo("S", 8), noted("S", 7)),
		ordered(2, 11, thin, since("S", 8), upTo("T", 10), noted("S", 7)), "", ""},

	// In two notes, or nobody knows.
	{"noted elsewhere: of a volume in use", ordered(1, 9, thin, kind(format.Full), noted("S", 7)),
		ordered(2, 11, thin, since("S", 8), noted("S", 5)),
		"noted on another machine, or in a note that is lost", ""},
	{"noted elsewhere: to another snapshot", ordered(1, 9, thin, kind(format.Full), noted("S", 7)),
		ordered(2, 12, thin, since("S", 8), upTo("T", 10), noted("S", 5)),
		"noted on another machine", ""},
	{"noted elsewhere: twice from a snapshot", ordered(1, 9, thin, since("S", 8), noted("S", 7)),
		ordered(2, 10, thin, since("S", 8), noted("S", 5)), "noted on another machine", ""},
	{"noted elsewhere: back", ordered(1, 9, thin, since("S", 8), noted("S", 7)),
		ordered(2, 10, thin, backTo("S"), noted("S", 5)), "", "something may be left"},
	{"noted elsewhere: from where the one before leads",
		ordered(1, 9, thin, kind(format.Full), upTo("S", 8), noted("S", 7)),
		ordered(2, 10, thin, since("S", 8), noted("S", 5)),
		"", "if the snapshot was written to and discarded from, something may be left"},
	{"from where the one before leads",
		ordered(1, 9, thin, kind(format.Full), upTo("S", 8), noted("S", 7)),
		ordered(2, 10, thin, since("S", 8), noted("S", 5), behind(7)), "", ""},
	{"could not be noted: from where the one before leads",
		ordered(1, 9, thin, kind(format.Full), upTo("S", 8), noted("S", 7)),
		ordered(2, 10, thin, since("S", 8)), "", ""},
	{"the first could not be noted", ordered(1, 9, thin, since("S", 8)),
		ordered(2, 10, thin, since("S", 8), noted("S", 5)),
		"", "the one before does not tell that it was noted for that: what was discarded"},
	{"the second could not be noted", ordered(1, 9, thin, since("S", 8), noted("S", 5)),
		ordered(2, 10, thin, since("S", 8)),
		"", "does not tell of the note that the one before is in: what was discarded"},
	{"the second could not be noted, or doesn't know that",
		ordered(1, 9, thin, kind(format.Full), noted("S", 5)),
		ordered(2, 12, thin, since("S", 8), upTo("T", 10)),
		"", "and what was written while the one before was dumped, from"},
	{"noted for another snapshot",
		ordered(1, 9, thin, kind(format.Full), noted("R", 5), knowing("R", "S")),
		ordered(2, 10, thin, since("S", 8), noted("S", 7)), "the one before leads past it", ""},
	{"in the note of another snapshot", ordered(1, 9, thin, since("R", 7), noted("R", 7)),
		ordered(2, 11, thin, since("S", 8), noted("S", 7)), "the one before leads past it", ""},
	{"of all of the volume, for its note was damaged",
		ordered(1, 9, thin, since("S", 8), noted("S", 7)),
		ordered(2, 10, thin, since("S", 8), noted("S", 9), ofAll), "", ""},
	{"of all of the volume, older", ordered(1, 10, thin, since("S", 8), noted("S", 7)),
		ordered(2, 9, thin, since("S", 8), noted("S", 9), ofAll), "it is older, made", ""},
	{"of all of the volume, from where the one before leads",
		ordered(1, 9, thin, kind(format.Full), upTo("S", 8), noted("S", 7)),
		ordered(2, 10, thin, since("S", 8), noted("S", 5), ofAll), "", ""},
	{"in a note that was put back to before",
		ordered(1, 9, thin, since("S", 8), noted("S", 7), behind(3)),
		ordered(2, 10, thin, since("S", 8), noted("S", 9), behind(3)),
		"in a note that is lost or was put back", ""},
	{"more than are told of lie between", ordered(1, 9, thin, kind(format.Full), noted("S", 7)),
		ordered(2, 10, thin, since("S", 8), noted("S", 9),
			behind(make([]byte, format.MaxNotedBefore)...)),
		"it tells of the last 64 dumps only", ""},
	{"exactly, in one note", ordered(1, 9, thin, since("S", 8), noted("S", 7)),
		ordered(2, 10, thin, since("S", 8), exactly, noted("S", 9), behind(7)),
		"exactly, and the one before leads past it", ""},
	{"to another snapshot, from one made while the volume was dumped",
		ordered(1, 9, thin, kind(format.Full), knowing()),
		ordered(2, 12, thin, since("S", 10), upTo("T", 11), knowing("S", "T")),
		"", "and then, or while the one before was dumped, something is missing"},

	// From a volume that is no snapshot.
	{"from the volume", ordered(1, 9, thin, kind(format.Full), lv("v", "V")),
		ordered(2, 12, thin, unnamed, lv("v", "V")),
		"", "it starts from vg/v as that was later: if it was written to after"},
	{"from the volume to its snapshot", ordered(1, 9, thin, kind(format.Full), lv("v", "V")),
		ordered(2, 12, thin, unnamed, lv("v", "V"), upTo("W", 11)),
		"", "it starts from vg/v as that was later"},
	{"from the volume to its older snapshot", ordered(1, 9, thin, kind(format.Full), lv("v", "V")),
		ordered(2, 12, thin, unnamed, lv("v", "V"), upTo("W", 7)),
		"", "it starts from vg/v as that was later"},
	{"from the volume before that was dumped",
		ordered(1, 12, thin, kind(format.Full), lv("v", "V")),
		ordered(2, 9, thin, unnamed, lv("v", "V")), "it is older", ""},
	{"from another volume", ordered(1, 9, thin, kind(format.Full), lv("u", "U")),
		ordered(2, 12, thin, unnamed, lv("v", "V")), "of different volumes", ""},
	{"from the volume, in one note",
		ordered(1, 9, thin, kind(format.Full), lv("v", "V"), noted("V", 7)),
		ordered(2, 12, thin, unnamed, lv("v", "V"), noted("V", 9), behind(7)),
		"", "it starts from vg/v as that was later"},
	{"from a volume without a name", ordered(1, 9, thin, kind(format.Full)),
		ordered(2, 12, thin, unnamed), "", "it starts from its base as that was later"},
	{"twice from the volume", ordered(1, 9, thin, unnamed, lv("v", "V")),
		ordered(2, 12, thin, unnamed, lv("v", "V")), "", "it starts from vg/v as that was later"},
	{"from the volume that the one before leads to by name",
		ordered(1, 9, thin, upTo("W", 8), lv("v", "V")),
		ordered(2, 12, thin, unnamed, lv("v", "V"), upTo("W", 8)), "", ""},
}

func TestThinMisfit(t *testing.T) {
	for _, tt := range thinMisfits {
		t.Run(tt.name, func(t *testing.T) {
			wantVerdict(t, Check(tt.a, tt.b), tt.reason, tt.doubt)
		})
	}
}
