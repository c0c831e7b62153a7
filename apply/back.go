package apply

import (
	"fmt"
	"slices"

	"lvmsync/format"
	"lvmsync/format/follow"
)

// leaveToHashes notes which undo patches follow the one before them only if their base
// hashes say so, once the headers don't speak against it, and tells.
func (c *chain) leaveToHashes(o Options) {
	for i, in := range c.patches[1:] {
		before := c.patches[i]
		if in.byHashes = follow.Check(before.header, in.header).Hashes; !in.byHashes {
			continue
		}
		if o.NoCheckBase {
			o.Warn(fmt.Sprintf("not checked: whether %s follows %s", in.name, before.name))
			continue
		}
		o.Warn(fmt.Sprintf("%s after %s: no name links these two undo patches; "+
			"that none between them is missing, only what %s replaces tells",
			in.name, before.name, in.name))
	}
}

// checkHashed makes sure that those undo patches say what they replace.
func (c *chain) checkHashed() error {
	for i, in := range c.patches {
		if in.byHashes && in.unhashed > 0 {
			return &AloneError{OneByOne: c.oneByOne(), Err: &OrderError{
				Before: c.patches[i-1].name, After: in.name, Unknown: true,
				Reason: fmt.Sprintf("no name links them, "+
					"and of %d bytes it doesn't say what it replaces", in.unhashed),
			}}
		}
	}
	return nil
}

// unhashed is how many bytes of a segment have no base hash. Of a sector that was changed
// in part an undo patch has none.
func unhashed(s *format.Segment) (n int64) {
	for _, r := range s.Records {
		if !r.HasBase && r.Len > format.SectorSize {
			n += r.Len
		}
	}
	return n
}

// wrongOrder says of a wrong base, if there is an order in which undo patches are more
// likely to fit, that it is because of the order.
func (c *chain) wrongOrder(err error) error {
	at := slices.IndexFunc(c.patches, func(in *input) bool { return in.byHashes })
	if err == nil || at < 0 {
		return err
	}
	fits := c.fittingOrder()
	if fits == nil || slices.Equal(fits, c.names()) {
		return err
	}
	return &OrderError{Before: c.patches[at-1].name, After: c.patches[at].name, Fits: fits,
		Reason: fmt.Sprintf("undo patches go back the newest first; %v", err)}
}

// newerBehind lists the undo patches behind patch i, one itself, that were made after it, unless
// names say that the next one follows, and not the other way round.
func (c *chain) newerBehind(i int) (newer []int) {
	h := c.patches[i].header
	for j := i + 1; j < len(c.patches) && h.Kind == format.Undo; j++ {
		behind := c.patches[j].header
		named := j == i+1 && follow.Linked(h, behind) && !follow.Linked(behind, h)
		if behind.Kind == format.Undo && follow.Older(h, behind) < 0 && !named {
			newer = append(newer, j)
		}
	}
	return newer
}

// newestFirst refuses undo patches of which one finds there what it leads to, as after a run
// that was broken off, if one that was made later, and comes behind it, replaces that again:
// the later run may have taken back what the first one did. Of that nothing but when they
// were made tells.
func (c *chain) newestFirst(check *baseCheck) error {
	at := slices.IndexFunc(check.links, func(l *link) bool { return l.gone != nil })
	if at < 0 {
		return nil
	}
	before := c.patches[at].name
	err := &OrderError{Before: before, After: c.patches[c.newerBehind(at)[0]].name,
		Reason: fmt.Sprintf("undo patches go back the newest first, and at bytes %s "+
			"there is not what %s replaces, but what it leads to",
			ranges(check.links[at].gone, 1), before)}
	if fits := c.fitting(); fits != nil && !fits.hasNewerBehind() {
		err.Fits = fits.names()
	}
	return err
}

func (c *chain) hasNewerBehind() bool {
	for i := range c.patches {
		if len(c.newerBehind(i)) > 0 {
			return true
		}
	}
	return false
}

// oneByOne is the order in which the patches may be applied each by itself.
func (c *chain) oneByOne() []string {
	if fits := c.fittingOrder(); fits != nil {
		return fits
	}
	return c.names()
}
