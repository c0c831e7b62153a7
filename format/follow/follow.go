// Package follow tells from the headers of patches whether one may be applied to where another
// one leads.
package follow

import (
	"fmt"

	"github.com/google/uuid"

	"lvmsync/format"
)

// A Verdict is what the headers of two patches tell of whether the second follows the
// first. All empty: nothing speaks against it.
type Verdict struct {
	Reason  string // why it does not
	Clock   bool   // the reason rests on times, which may be wrong
	Unknown bool   // the reason is that nothing can be told
	Doubt   string // what the user should look at if it does
	Smaller bool   // the reason is that the volume has become smaller
	Hashes  bool   // only what the second replaces tells: its base hashes
}

func never(reason string) Verdict      { return Verdict{Reason: reason} }
func notByClock(reason string) Verdict { return Verdict{Reason: reason, Clock: true} }
func doubtful(doubt string) Verdict    { return Verdict{Doubt: doubt} }
func (v Verdict) spoken() bool         { return v != Verdict{} }

func cantTell(reason string) Verdict {
	return Verdict{Reason: reason, Clock: true, Unknown: true}
}

// otherVolumes is the verdict on patches of which only one can be of the volume.
func otherVolumes(a, b format.Header) Verdict {
	return never(fmt.Sprintf("they are of different volumes, %s and %s",
		VolumeName(a), VolumeName(b)))
}

// BaseOf is what the header says of the patch's base; nothing if it says nothing.
func BaseOf(h format.Header) format.Base { return deref(h.Base) }

// StateOf is what the header says of where the patch leads; nothing if it says nothing.
func StateOf(h format.Header) format.State { return deref(h.State) }

// and adds a doubt to what is no reason.
func (v Verdict) and(doubt string) Verdict {
	switch {
	case v.Reason != "":
	case v.Doubt != "":
		v.Doubt += "; and " + doubt
	default:
		v.Doubt = doubt
	}
	return v
}

// deref is what p points to, or the zero value.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// Check tells whether patch b can follow patch a. What their UUIDs tell comes first;
// times are asked only where those leave something open.
func Check(a, b format.Header) Verdict {
	if a.ID == b.ID {
		return never("they are the same patch")
	}
	a, b = a.Last(), b.First()
	a = asVolumeOf(b, a)
	base := BaseOf(b)
	switch {
	case a.ID == b.ID:
		return never("they are the same patch")
	case b.Kind == format.Full:
		return never("it is a full patch, which needs none before it")
	case b.Start > 0:
		return never(fmt.Sprintf("it is the rest of an interrupted run "+
			"and leaves out what changed before byte %d", b.Start))
	case base.Patch != uuid.Nil && Linked(a, b):
		return Verdict{}
	case a.Kind == format.Undo && b.Kind == format.Undo:
		return followsBack(a, b)
	case base.Patch != uuid.Nil:
		return never(fmt.Sprintf("it follows the patch with the id %s", base.Patch))
	case otherVolume(a, b):
		return otherVolumes(a, b)
	case b.VolumeSize < a.VolumeSize:
		v := never(fmt.Sprintf("its volume has %d bytes, fewer than %d before",
			b.VolumeSize, a.VolumeSize))
		v.Smaller = true
		return v
	case Linked(a, b) && a.Kind == format.Undo &&
		base.Exact && base.Snapshot == StateOf(a).Snapshot:
		return doubtful(fmt.Sprintf("it starts from snapshot %s exactly: "+
			"that this is where the undo patch leads holds only if "+
			"what that takes back was the first delta since then", SnapshotName(b, base.Snapshot)))
	case Linked(a, b):
		return followsByName(a, b)
	case a.Kind == format.Undo && StateOf(a).Snapshot == "":
		return cantTell("nobody knows when the volume was what an undo patch takes it back to")
	case base.Snapshot != "" && base.Snapshot == a.Source.LVUUID:
		return followsVolume(a, b)
	case base.Exact && base.Snapshot != "":
		return followsExactly(a, b)
	case base.Exact && StateOf(b).Snapshot != "":
		return followsBackFrom(a, b)
	case isThin(b):
		return followsThin(a, b)
	}
	return followsInTime(a, b)
}

// Linked tells whether names that nobody chooses say that b may be applied to where a
// leads: it follows that very patch, starts from that snapshot, or leads to it, too.
func Linked(a, b format.Header) bool {
	a, b = a.Last(), b.First()
	base, reached := BaseOf(b), StateOf(a)
	if base.Patch != uuid.Nil {
		return base.Patch == a.ID || reached.Leads(base.Patch) ||
			b.Kind == format.Undo && base.Snapshot != "" && base.Snapshot == reached.Snapshot
	}
	return b.Kind != format.Full && reached.Snapshot != "" &&
		(base.Snapshot == reached.Snapshot || StateOf(b).Snapshot == reached.Snapshot)
}

// followsBack is about two undo patches that no names link: they go back the newest first.
// A run that had nothing to do leaves no undo patch, and that a patch led to where the next
// one began is not always known by name: then what the second one replaces must be there.
func followsBack(a, b format.Header) Verdict {
	switch {
	case otherVolume(a, b):
		return otherVolumes(a, b)
	case Linked(b, a):
		return never("undo patches go back the newest first, and it is of the later run")
	}
	return Verdict{Hashes: true}
}

// followsVolume is about a patch b that starts from a volume which has no state of a name: from a's
// as if that stood still, or from what it was when b was dumped.
func followsVolume(a, b format.Header) Verdict {
	if v := notAfter(a, b, endOf(a), dumpOf(b)); v.spoken() {
		return v
	}
	name := "its base"
	if base := BaseOf(b).Snapshot; base != "" {
		name = SnapshotName(b, base)
	} else if b.Source.LV != "" {
		name = VolumeName(b)
	}
	return doubtful(fmt.Sprintf("it starts from %s as that was later: "+
		"if it was written to after %s, something may be missing",
		name, clock(endOf(a).at)))
}

// followsBackFrom is about a patch b that leads back to a snapshot from what the volume was
// when b was dumped, and holds no more than what differs between the two, by the maps of thin
// volumes or exactly. Where something was different in between, and a leads there, that stays.
func followsBackFrom(a, b format.Header) Verdict {
	return followsInTime(a, b).and(fmt.Sprintf("it leads back from what the volume was %s: "+
		"if it was in use between %s and then, something may be left",
		clock(b.Created), clock(endOf(a).at)))
}

// followsExactly is about a patch b that can be applied to its own snapshot only, which
// a does not lead to by name. If a was dumped from the volume itself, that may have been
// at rest until the snapshot was made.
func followsExactly(a, b format.Header) Verdict {
	starts := "it starts from snapshot " + SnapshotName(b, BaseOf(b).Snapshot)
	return followsOnly(a, b, starts, starts+" exactly, and the one before leads past it")
}

// followsOnly is about a patch b that fits nothing but its own snapshot. Past says that a
// leads past that.
func followsOnly(a, b format.Header, starts, past string) Verdict {
	snapshot, reached := startOf(b), endOf(a)
	if reached.snapshot != "" {
		return never(starts + ", where the one before does not lead")
	}
	known := proven(a, b, snapshot, reached)
	if known == earlier {
		return never(past)
	}
	if why := untold(a, b); why != "" {
		return cantTell(why)
	}
	if known == unclear && order(snapshot, reached) == earlier {
		return notByClock(past)
	}
	return inUse(b, starts, snapshot, reached)
}

// followsInTime is about a patch b, not exact, which names nothing that a leads to. It
// holds all that was written between two moments: when the snapshot was made that it
// starts from, and what it leads to, or the other way round if it leads back. It can
// follow what leads to a moment between the two.
func followsInTime(a, b format.Header) Verdict {
	first, last, reached := startOf(b), endOf(b), endOf(a)
	starts := "it starts from snapshot "
	// A dump comes after all snapshots that it knows, whatever the clock says.
	dumped := first.known() && first.snapshot == ""
	if dumped || last.snapshot != "" && order(first, last) == later {
		first, last = last, first
		starts = "it leads back to snapshot "
	}
	if v := notAfter(a, b, reached, last); v.spoken() {
		return v
	}
	if !first.known() {
		return Verdict{} // nothing more is known
	}
	return notBefore(a, b, reached, first, starts+SnapshotName(b, first.snapshot))
}

// notAfter makes sure that a doesn't lead to something later than the last moment that b
// knows of.
func notAfter(a, b format.Header, reached, last moment) Verdict {
	switch proven(a, b, reached, last) {
	case earlier, same:
		return Verdict{}
	case later:
		if reached.snapshot != "" && last.snapshot != "" && sameBoot(a, b) {
			return never(outOfDate(reached, last))
		}
		// Of the dumps: what was dumped may be older than they are.
		return notByClock(outOfDate(reached, last))
	}
	if why := untold(a, b); why != "" {
		return cantTell(why)
	}
	switch order(reached, last) {
	case earlier, same:
		return Verdict{}
	case later:
		return notByClock(outOfDate(reached, last))
	}
	return cantTell(indistinct(reached, last))
}

// notBefore makes sure that a leads at least to the first moment that b knows of.
func notBefore(a, b format.Header, reached, first moment, starts string) Verdict {
	const missing = ", made after where the one before leads: a patch between them is missing"
	known := proven(a, b, first, reached)
	switch {
	case known == earlier:
		return Verdict{}
	case known == later && reached.snapshot != "" && sameBoot(a, b):
		return never(starts + missing)
	case known == later && reached.snapshot != "": // the order of the dumps rests on clocks
		return notByClock(starts + missing)
	}
	if why := untold(a, b); why != "" {
		return cantTell(why)
	}
	o := order(first, reached)
	switch {
	case known == later:
		return inUse(b, starts, first, reached)
	case o == earlier && reached.snapshot != "": // of two snapshots, nothing else ever tells
		return doubtful(starts + ": that this is older than where the one before leads, " +
			"only the clock says")
	case o == earlier:
		return Verdict{}
	case reached.snapshot == "":
		return inUse(b, starts, first, reached)
	case o == later:
		return notByClock(starts + missing)
	}
	return cantTell(starts + ", where the one before does not lead, and " +
		indistinct(first, reached))
}

// inUse is the doubt about a snapshot that was made after the volume itself was dumped. If that
// dump had not ended then, it has more than a patch b to another snapshot knows of.
func inUse(b format.Header, starts string, snapshot, dumped moment) Verdict {
	if !snapshot.dated() || !dumped.dated() {
		return doubtful("whether a patch between them is missing can't be told")
	}
	if snapshot.at.Before(dumped.at) { // by a clock that was wrong
		return doubtful(starts + ", made after the one before was dumped: " +
			"if the volume was in use between, something is missing")
	}
	made, before := toldApart(snapshot.at, dumped.at)
	meanwhile := ""
	if endOf(b).snapshot != "" {
		meanwhile = ", or while the one before was dumped"
	}
	return doubtful(fmt.Sprintf("%s, made %s: if the volume was in use between %s and then%s, "+
		"something is missing",
		starts, made, before, meanwhile))
}
