package apply

import (
	"cmp"
	"fmt"
	"slices"

	"lvmsync/format"
	"lvmsync/format/follow"
)

// An OrderError means that patches do not follow one another in the order given, or
// that nobody can tell whether they do. Nothing was written.
type OrderError struct {
	Before, After string   // the patches, by name
	Reason        string   // why After can't follow Before
	Clock         bool     // nothing but times speaks against it: Options.TrustOrder overrules it
	Unknown       bool     // the times can't tell
	Twice         string   // a patch before After, by name, which is the same one
	Smaller       bool     // the volume of After has become smaller: it needs a run of its own
	Fits          []string // an order in which all of them would fit; empty: none is known
}

// Error names both patches.
func (e *OrderError) Error() string {
	if e.Unknown {
		return fmt.Sprintf("whether %s follows %s can't be told: %s", e.After, e.Before, e.Reason)
	}
	return fmt.Sprintf("%s does not follow %s: %s", e.After, e.Before, e.Reason)
}

// Unwrap makes the error match ErrWrongBase.
func (e *OrderError) Unwrap() error { return ErrWrongBase }

// An AloneError means that a patch can't be one of several, though it may be applied by
// itself. Nothing was written.
type AloneError struct {
	OneByOne []string // the patches by name, in the order in which each may be applied alone
	Err      error    // why
}

// Error says why.
func (e *AloneError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *AloneError) Unwrap() error { return e.Err }

// checkOrder checks that each patch follows the one before it, as far as the
// headers tell.
func (c *chain) checkOrder(o Options) error {
	if in := c.patches[0]; in.header.Start > 0 {
		o.Warn(fmt.Sprintf("%s begins at byte %d: what changed before must be there already, "+
			"from the run that it is the rest of", in.name, in.header.Start))
	}
	err := c.firstMisfit(o.TrustOrder, o.Warn)
	if err == nil {
		c.leaveToHashes(o)
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
// predecessor. With trust, times alone make none.
func (c *chain) firstMisfit(trust bool, warn func(string)) *OrderError {
	for i, in := range c.patches[1:] {
		before := c.patches[i]
		v := follow.Check(before.header, in.header)
		if v.Reason != "" {
			err := &OrderError{Before: before.name, After: in.name, Reason: v.Reason,
				Clock: v.Clock, Unknown: v.Unknown, Smaller: v.Smaller}
			if at := slices.IndexFunc(c.patches[:i+1], in.isSame); at >= 0 {
				err.Twice = c.patches[at].name
			}
			if !v.Clock || !trust {
				return err
			}
			warn("taken on your word: " + err.Error())
		}
		if v.Doubt != "" {
			warn(fmt.Sprintf("%s after %s: %s", in.name, before.name, v.Doubt))
		}
	}
	return nil
}

// fittingOrder looks for an order in which the patches would follow one another:
// the full one first, then always one that says to follow the one before, or else the
// oldest; undo patches come last, and go back the newest first. That is only proposed if
// nothing speaks against it.
func (c *chain) fittingOrder() []string {
	if fits := c.fitting(); fits != nil {
		return fits.names()
	}
	return nil
}

// fitting are the patches in that order, or nil. Who goes back and then on gets none: in any other
// order they would lead elsewhere.
func (c *chain) fitting() *chain {
	for i, in := range c.patches[1:] {
		if in.header.Kind != format.Undo && c.patches[i].header.Kind == format.Undo {
			return nil
		}
	}
	sorted := c.sorted()
	if sorted.firstMisfit(false, func(string) {}) != nil {
		return nil
	}
	return sorted
}

// sorted are the patches in that order, whether they fit or not.
func (c *chain) sorted() *chain {
	left := slices.Clone(c.patches)
	rank := map[format.Kind]int{format.Full: 0, format.Delta: 1, format.Undo: 2}
	slices.SortStableFunc(left, func(a, b *input) int {
		switch {
		case a.header.Kind != b.header.Kind:
			return cmp.Compare(rank[a.header.Kind], rank[b.header.Kind])
		case a.header.Kind == format.Undo:
			return follow.Older(b.header, a.header)
		}
		return follow.Older(a.header, b.header)
	})
	sorted := new(chain)
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(in *input) bool { return sorted.goesNext(in, left) })
		i = max(0, i)
		sorted.patches = append(sorted.patches, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return sorted
}

// isSame tells whether another input is the same patch.
func (in *input) isSame(other *input) bool { return in.header.ID == other.header.ID }

func (c *chain) names() []string {
	var names []string
	for _, in := range c.patches {
		names = append(names, in.name)
	}
	return names
}

// goesNext tells whether a patch of those that are left is linked to the last of the
// chain; at the beginning, whether it is full, or linked to none of the others.
func (c *chain) goesNext(in *input, left []*input) bool {
	if len(c.patches) > 0 {
		return follow.Linked(c.last().header, in.header)
	}
	return in.header.Kind == format.Full || !slices.ContainsFunc(left, func(other *input) bool {
		return other != in && follow.Linked(other.header, in.header)
	})
}
