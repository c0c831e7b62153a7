package follow

import (
	"fmt"
	"math"
	"slices"
	"time"

	"lvmsync/format"
)

// A moment is one at which a volume was in a state that a patch knows: when a snapshot
// was made, to the second, or when the volume itself was dumped.
type moment struct {
	snapshot string    // its UUID; empty for a dump
	at       time.Time // by the clock; zero: not known
	dump     format.Header
}

// An outcome of comparing two moments.
type ordering int

const (
	unclear ordering = iota // the times are missing, or those of snapshots of one second
	earlier
	same
	later
)

// startOf is the moment that a patch starts from; it may not be known. A patch that
// knows only what snapshot it leads to goes back to that from when it was dumped.
func startOf(h format.Header) moment {
	if b := BaseOf(h); b.Snapshot != "" {
		return moment{snapshot: b.Snapshot, at: b.SnapshotCreated}
	}
	if StateOf(h).Snapshot != "" {
		return dumpOf(h)
	}
	return moment{}
}

// endOf is the moment that a patch leads to.
func endOf(h format.Header) moment {
	if s := StateOf(h); s.Snapshot != "" {
		return moment{snapshot: s.Snapshot, at: s.SnapshotCreated}
	}
	return dumpOf(h)
}

func dumpOf(h format.Header) moment { return moment{at: h.Created, dump: h} }

func (m moment) known() bool { return m.snapshot != "" || m.dump.ID != [16]byte{} }
func (m moment) dated() bool { return !m.at.IsZero() }

// thereAt tells whether a snapshot was there when a patch was dumped: it names it, or lists it.
func (m moment) thereAt(h format.Header) bool {
	return m.snapshot == BaseOf(h).Snapshot || m.snapshot == StateOf(h).Snapshot ||
		slices.Contains(h.Source.Snapshots, m.snapshot)
}

// madeAfter tells whether a snapshot was made after one of two patches was dumped: it was
// not there yet, but when the other one was dumped, later.
func (m moment) madeAfter(h, other format.Header) bool {
	return m.cameAfter(h, other) && !m.adopted(h, other)
}

// cameAfter tells whether a snapshot was none of the volume when one of two patches was dumped, but
// later.
func (m moment) cameAfter(h, other format.Header) bool {
	return h.Source.Snapshots != nil && h.Source.VGUUID == other.Source.VGUUID &&
		h.Source.LVUUID == other.Source.LVUUID && !m.thereAt(h) &&
		slices.Contains(other.Source.Snapshots, m.snapshot) && dumpedBefore(h, other)
}

// adopted tells whether a snapshot that came after a patch was dumped seems to be older. If a thin
// snapshot is merged into its volume, its own snapshots become that volume's.
func (m moment) adopted(h, other format.Header) bool {
	return (isThin(h) || isThin(other)) && m.dated() && m.at.Unix() < h.Created.Unix()
}

// untold tells why times can't tell the order of what the patches a and b know of, if something
// speaks against them.
func untold(a, b format.Header) string {
	if skew := skewOf(a, b); skew != "" {
		return skew
	}
	for _, pair := range [][2]format.Header{{a, b}, {b, a}} {
		h, other := pair[0], pair[1]
		for _, m := range []moment{startOf(a), endOf(a), startOf(b), endOf(b)} {
			if m.snapshot != "" && m.cameAfter(h, other) && m.adopted(h, other) {
				return fmt.Sprintf("snapshot %s was none of the volume when the older one of "+
					"them was dumped, and is older by its date: "+
					"a merge brought it, or the clock was set", SnapshotName(b, m.snapshot))
			}
		}
	}
	return ""
}

// dumpedBefore tells whether one patch was dumped before another one, as far as can be told.
func dumpedBefore(a, b format.Header) bool {
	if o := inBoot(a, b); o != unclear {
		return o == earlier
	}
	return skewOf(a, b) == "" && a.Created.Before(b.Created)
}

// proven compares the moments x and y, which the patches a and b know of, by what no
// clock has a part in: which snapshots were there when each was dumped.
func proven(a, b format.Header, x, y moment) ordering {
	switch {
	case x.snapshot != "" && x.snapshot == y.snapshot:
		return same
	case x.snapshot == "" && y.snapshot == "":
		return inBoot(x.dump, y.dump)
	case x.snapshot == "":
		return reverse(proven(a, b, y, x))
	}
	for _, pair := range [][2]format.Header{{a, b}, {b, a}} {
		h, other := pair[0], pair[1]
		dumped := inBoot(h, y.dump)
		switch {
		case y.snapshot != "":
			if x.thereAt(h) && y.madeAfter(h, other) {
				return earlier
			}
			if y.thereAt(h) && x.madeAfter(h, other) {
				return later
			}
		case x.thereAt(h) && (dumped == earlier || dumped == same):
			return earlier
		case h.ID == y.dump.ID && x.madeAfter(h, other):
			return later
		}
	}
	return unclear
}

func reverse(o ordering) ordering {
	switch o {
	case earlier:
		return later
	case later:
		return earlier
	}
	return o
}

// inBoot compares when two patches were dumped by how long the machine was up, which
// goes on whatever the clock is set to.
func inBoot(a, b format.Header) ordering {
	if a.ID == b.ID {
		return same
	}
	if !sameBoot(a, b) {
		return unclear
	}
	return compareNumbers(a.Source.Uptime, b.Source.Uptime)
}

func sameBoot(a, b format.Header) bool {
	return a.Source.BootID != "" && a.Source.BootID == b.Source.BootID &&
		uptime(a) > 0 && uptime(b) > 0
}

// uptime is how long the machine had been up when a patch was dumped; 0 if that is not
// known, or can't be.
func uptime(h format.Header) time.Duration {
	if h.Source.Uptime > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return time.Duration(h.Source.Uptime) * time.Millisecond
}

func compareNumbers(x, y int64) ordering {
	switch {
	case x < y:
		return earlier
	case x > y:
		return later
	}
	return same
}

// order compares two moments by the clock. Snapshots are dated to the second: within
// one, nothing is known of what was first.
func order(x, y moment) ordering {
	switch {
	case x.snapshot != "" && x.snapshot == y.snapshot:
		return same
	case !x.dated() || !y.dated():
		return unclear
	case x.snapshot == "" && y.snapshot == "":
		return compareNumbers(x.at.UnixNano(), y.at.UnixNano())
	}
	o := compareNumbers(x.at.Unix(), y.at.Unix())
	if o == same {
		o = unclear
	}
	return o
}

// Older compares patches for a proposal: by when they were dumped.
func Older(a, b format.Header) int {
	if o := inBoot(a, b); o == earlier || o == later {
		return int(o) - int(same)
	}
	return a.Created.Compare(b.Created)
}

// clockSlack is how far the time since the boot and the clock may go apart before that
// means that the clock was set: what adjusts its pace, and no leap second, shows.
const clockSlack = 2 * time.Second

// skewOf tells what shows that the clock can't be trusted that dated the patches a and b,
// if anything does.
func skewOf(a, b format.Header) string {
	switch {
	case youngerThanItself(a):
		return "the clock was set back: the snapshot of the one before is younger than that itself"
	case youngerThanItself(b):
		return "the clock was set back: its snapshot is younger than the patch itself"
	case a.Created.IsZero() || b.Created.IsZero():
		return ""
	case sameBoot(a, b):
		return stepped(a, b)
	}
	first, second := a, b
	if b.Created.Before(a.Created) {
		first, second = b, a
	}
	if first.Host != "" && first.Host == second.Host &&
		first.Source.BootID != "" && second.Source.BootID != "" &&
		uptime(second) > 0 && booted(second).Add(clockSlack).Before(first.Created) {
		return fmt.Sprintf("the clock of %s was set: it dates a dump of one boot into another one",
			format.Shown(first.Host))
	}
	return ""
}

// Contradict tells whether the clock has dated two dumps of one machine in an order that the times
// since it was started speak against: one after the other though it was before, or during a run of
// the machine that it was not made in. Which of the two times is wrong is not known.
func Contradict(a, b format.Header) bool {
	if b.Created.Before(a.Created) {
		a, b = b, a
	}
	switch {
	case a.Created.IsZero() || a.Host == "" || a.Host != b.Host:
		return false
	case sameBoot(a, b):
		return inBoot(a, b) == later
	}
	return a.Source.BootID != "" && b.Source.BootID != "" && a.Source.BootID != b.Source.BootID &&
		uptime(b) > 0 && booted(b).Add(clockSlack).Before(a.Created)
}

// youngerThanItself tells whether a patch was dumped before its own snapshot was there.
func youngerThanItself(h format.Header) bool {
	return !h.Created.IsZero() && (BaseOf(h).SnapshotCreated.After(h.Created) ||
		StateOf(h).SnapshotCreated.After(h.Created))
}

// booted is when the machine was started, by the clock as it was when a patch was dumped.
func booted(h format.Header) time.Time {
	return h.Created.Add(-uptime(h))
}

// stepped tells whether the clock was set between two dumps of one boot.
func stepped(a, b format.Header) string {
	by := booted(b).Sub(booted(a))
	if inBoot(a, b) == later {
		by = -by
	}
	switch {
	case by > clockSlack:
		return fmt.Sprintf("the clock was set forward by %v between them", by.Round(time.Second))
	case by < -clockSlack:
		return fmt.Sprintf("the clock was set back by %v between them", (-by).Round(time.Second))
	}
	return ""
}
