package apply

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
)

// An OrderError means that patches do not follow one another in the order given.
// Nothing was written.
type OrderError struct {
	Before, After string   // the patches, by name
	Reason        string   // why After can't follow Before
	Fits          []string // an order in which all of them would fit; empty: none is known
}

// Error names both patches.
func (e *OrderError) Error() string {
	return fmt.Sprintf("%s does not follow %s: %s", e.After, e.Before, e.Reason)
}

// Unwrap makes the error match ErrWrongBase.
func (e *OrderError) Unwrap() error { return ErrWrongBase }

// checkOrder checks that each patch follows the one before it, as far as the
// headers tell.
func (c *chain) checkOrder(o Options) error {
	if in := c.patches[0]; in.header.Start > 0 {
		o.Warn(fmt.Sprintf("%s begins at byte %d: what changed before must be there already, from the run that it is the rest of",
			in.name, in.header.Start))
	}
	err := c.firstMisfit(o.Warn)
	if err == nil {
		return nil
	}
	if o.NoCheckBase {
		o.Warn("not checked: " + err.Error())
		return nil
	}
	err.Fits = c.fittingOrder()
	return err
}

// firstMisfit is the error about the first patch that does not follow its
// predecessor.
func (c *chain) firstMisfit(warn func(string)) *OrderError {
	for i, in := range c.patches[1:] {
		before := c.patches[i]
		reason, doubt := misfit(before.header, in.header)
		if reason != "" {
			return &OrderError{Before: before.name, After: in.name, Reason: reason}
		}
		if doubt != "" {
			warn(fmt.Sprintf("%s after %s: %s", in.name, before.name, doubt))
		}
	}
	return nil
}

// fittingOrder looks for an order in which the patches would follow one another:
// the full one first, the others by age.
func (c *chain) fittingOrder() []string {
	sorted := &chain{patches: slices.Clone(c.patches)}
	slices.SortStableFunc(sorted.patches, func(a, b *input) int {
		if (a.header.Kind == format.Full) != (b.header.Kind == format.Full) {
			if a.header.Kind == format.Full {
				return -1
			}
			return 1
		}
		return a.header.Created.Compare(b.header.Created)
	})
	if sorted.firstMisfit(func(string) {}) != nil {
		return nil
	}
	var names []string
	for _, in := range sorted.patches {
		names = append(names, in.name)
	}
	return names
}

// misfit tells why patch b can't follow patch a; or what is in doubt if it may.
func misfit(a, b format.Header) (reason, doubt string) {
	var base format.Base
	if b.Base != nil {
		base = *b.Base
	}
	switch {
	case a.ID == b.ID:
		return "they are the same patch", ""
	case b.Kind == format.Full:
		return "it is a full patch, which needs none before it", ""
	case b.Start > 0:
		return fmt.Sprintf("it is the rest of an interrupted run and leaves out what changed before byte %d", b.Start), ""
	case base.Patch != uuid.Nil:
		if base.Patch == a.ID || a.State != nil && base.Patch == a.State.Patch {
			return "", ""
		}
		return fmt.Sprintf("it follows the patch with the id %s", base.Patch), ""
	case otherVolume(a, b):
		return fmt.Sprintf("they are of different volumes, %s and %s", volumeName(a), volumeName(b)), ""
	case b.VolumeSize < a.VolumeSize:
		return fmt.Sprintf("its volume has %d bytes, fewer than %d before", b.VolumeSize, a.VolumeSize), ""
	case base.Snapshot != "" && a.State != nil && base.Snapshot == a.State.Snapshot:
		return "", "" // whatever the clocks say
	case b.Created.Before(a.Created):
		return "it is older, made " + clock(b.Created) + " and not after " + clock(a.Created), ""
	case base.Snapshot == "":
		return "", "" // nothing more is known
	}
	return misfitSnapshot(a, b, base)
}

// misfitSnapshot does the same for a patch b that starts from a snapshot, another
// one than a leads to, and is not older than a. Such a patch, if it isn't exact,
// holds all that was written since that snapshot: it can follow every state from
// there on to its own end.
func misfitSnapshot(a, b format.Header, base format.Base) (reason, doubt string) {
	starts := fmt.Sprintf("it starts from snapshot %s", snapshotName(b))
	reached := a.Created.Truncate(time.Second) // when the volume was in the state that a leads to
	if a.State != nil && a.State.Snapshot != "" {
		reached = a.State.SnapshotCreated
	}
	if b.State != nil && !b.State.SnapshotCreated.IsZero() && b.State.SnapshotCreated.Before(reached) {
		return "it leads to a snapshot that is older than where the one before leads", ""
	}
	if a.State != nil && a.State.Snapshot != "" {
		if base.Exact || reached.IsZero() || base.SnapshotCreated.IsZero() {
			return starts + ", where the one before does not lead", ""
		}
		if base.SnapshotCreated.After(reached) {
			return starts + ", made after where the one before leads: a patch between them is missing", ""
		}
		return "", ""
	}
	since := base.SnapshotCreated
	sameStart := a.Base != nil && a.Base.Snapshot == base.Snapshot
	older := sameStart || !since.IsZero() && since.Before(reached)
	switch {
	case older && base.Exact:
		return starts + " exactly, and the one before leads past it", ""
	case older:
		return "", ""
	case since.IsZero():
		return "", "whether a patch between them is missing can't be told"
	}
	return "", fmt.Sprintf("%s, made %s: if the volume was in use between %s and then, something is missing",
		starts, clock(since), clock(a.Created))
}

// otherVolume tells whether LVM says that the patches are of different volumes. A
// snapshot's volume is its origin.
func otherVolume(a, b format.Header) bool {
	x, y := a.Source.LVUUID, b.Source.LVUUID
	return x != "" && y != "" && x != y
}

// volumeName names a patch's volume for people.
func volumeName(h format.Header) string {
	h = h.Shown()
	if h.Source.LV == "" {
		return h.Source.Path
	}
	return h.Source.VG + "/" + h.Source.LV
}

func snapshotName(h format.Header) string {
	h = h.Shown()
	if h.Source.Snapshot == "" {
		return h.Base.Snapshot
	}
	return h.Source.VG + "/" + h.Source.Snapshot
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// Hint says in which order the patches would fit; nothing if none is known.
func (e *OrderError) Hint() string {
	if len(e.Fits) == 0 {
		return ""
	}
	return "they would fit in this order: " + strings.Join(e.Fits, " ")
}
