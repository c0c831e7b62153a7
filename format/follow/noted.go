package follow

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"lvmsync/format"
)

// isThin tells whether a patch holds what thin volumes map differently, which is less than all that
// was written in between: what was written and discarded again is mapped by neither.
func isThin(h format.Header) bool { return h.Source.Type == "thin" }

// followsThin is about a patch b between a thin snapshot and what came of its origin. What was
// noted for it, as sent before, is in it. Otherwise it can be applied only to what it leads from.
func followsThin(a, b format.Header) Verdict {
	kept := keptBy(b)
	if kept == "" {
		return followsVolume(a, b)
	}
	starts := "it starts from snapshot " + SnapshotName(b, kept)
	if BaseOf(b).Snapshot == "" {
		starts = "it leads back to snapshot " + SnapshotName(b, kept)
	}
	switch noting := notedFor(a, b, kept); {
	case noting == isNoted:
		return Verdict{}
	case noting != isLater && holdsAll(b):
		return followsInTime(a, b)
	case noting == maybeNoted:
		return followsNoted(a, b).and(starts + ", and " + missesNote(a, b, kept))
	case noting == isLater:
		return never("it was dumped before the one before, which brings again what it brings")
	case noting == tooLongAgo:
		return cantTell(fmt.Sprintf("it tells of the last %d dumps only that were noted for it: "+
			"the one before is not among them", format.MaxNotedBefore))
	case BaseOf(b).Snapshot == "":
		return followsBackFrom(a, b)
	case a.Source.Noted[kept] != uuid.Nil:
		return followsOnly(a, b, starts, starts+", and what the one before brought was noted on "+
			"another machine, or in a note that is lost or was put back: what was discarded since "+
			"is in neither of two thin volumes")
	}
	return followsOnly(a, b, starts, starts+", and the one before leads past it: "+
		"what was written after that, and discarded since, is in neither of two thin volumes")
}

// followsByName is about a patch b that starts from the snapshot that a leads to, or leads to the
// same. A thin one can have been written to, and discarded from, since it was copied.
func followsByName(a, b format.Header) Verdict {
	kept := BaseOf(b).Snapshot
	if !isThin(b) || kept == "" || kept != StateOf(a).Snapshot {
		return Verdict{}
	}
	first, second := a.Source.Noted[kept], b.Source.Noted[kept]
	if first == uuid.Nil || second == uuid.Nil || first == second || holdsAll(b) ||
		slices.Contains(b.Source.NotedBefore, first) {
		return Verdict{}
	}
	return doubtful(fmt.Sprintf("it starts from snapshot %s, and does not tell that what the one "+
		"before brought was noted for that: if the snapshot was written to and discarded from, "+
		"something may be left", SnapshotName(b, kept)))
}

// holdsAll tells whether a patch has all of its volume, as one does where it isn't known what was
// sent before.
func holdsAll(h format.Header) bool {
	return !BaseOf(h).Exact && h.Planned != nil && h.Planned.Bytes == h.VolumeSize
}

// keptBy is the UUID of the snapshot that a thin patch starts from or leads back to, in whose note
// it is; empty if it starts from a volume that is none.
func keptBy(h format.Header) string { return cmp.Or(BaseOf(h).Snapshot, h.Source.SnapshotUUID) }

// A noting tells whether what a patch brings was noted, so that a later one brings that again.
type noting int

const (
	notNoted   noting = iota // it was not, or elsewhere
	maybeNoted               // programs noted it before they told so, or so well; or nobody knows
	tooLongAgo               // perhaps, and the later one does not tell of all dumps
	isLater                  // it is the other way round
	isNoted                  // and the later one brings it again
)

// notedFor tells whether what a brings was noted for b, which is from the note of the snapshot
// kept.
func notedFor(a, b format.Header, kept string) noting {
	first, second := a.Source.Noted[kept], b.Source.Noted[kept]
	switch {
	case first != uuid.Nil && slices.Contains(b.Source.NotedBefore, first):
		return isNoted
	case first != uuid.Nil && (second == uuid.Nil || first == second):
		return maybeNoted
	case first != uuid.Nil && keptBy(a) == kept && slices.Contains(a.Source.NotedBefore, second):
		return isLater
	case first != uuid.Nil && len(b.Source.NotedBefore) == format.MaxNotedBefore:
		return tooLongAgo
	case len(a.Source.Noted) > 0 || !isThin(a):
		return notNoted
	case a.Kind == format.Full && endOf(a).snapshot == "" &&
		slices.Contains(a.Source.Snapshots, kept):
		// which listed none else
		return maybeNoted
	case kept == BaseOf(a).Snapshot:
		return maybeNoted
	}
	return notNoted
}

// followsNoted is about a patch b that may bring again what a brought, if that was dumped before.
func followsNoted(a, b format.Header) Verdict {
	if v := notAfter(a, b, dumpOf(a), dumpOf(b)); v.spoken() {
		return v
	}
	return followsInTime(a, b)
}

// missesNote says what may come of it that one of two patches tells of no note.
func missesNote(a, b format.Header, kept string) string {
	which := "the one before does not tell that it was noted for that"
	if a.Source.Noted[kept] != uuid.Nil {
		which = "does not tell of the note that the one before is in"
	}
	left := which + ": what was discarded between the two may be left"
	if a.Kind == format.Full {
		left += fmt.Sprintf(", and what was written while the one before was dumped, from %s on",
			clock(a.Created))
	}
	return left
}
