package retention

import (
	"fmt"
	"slices"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/follow"
)

// understood are the patches of a volume of which it is known what follows what, and why the others
// are left alone.
func (o Options) understood(v *archive.Volume) (patches []*archive.Patch, left []Left) {
	if left := o.doubtful(v); len(left) > 0 {
		return nil, left
	}
	full := slices.ContainsFunc(v.Chains, func(c archive.Chain) bool {
		return c.First().Header.Kind == format.Full
	})
	together := full || startTogether(v.Chains)
	for _, c := range v.Chains {
		first := c.First()
		why := ""
		switch {
		case first.Header.Start > 0:
			why = "it is the rest of an interrupted run"
		case full && first.Header.Kind != format.Full:
			why = first.Gap
		case !together:
			why = "what it starts from is not here, nor is that of others: " + first.Gap
		}
		if why == "" {
			patches = append(patches, c.Patches...)
			continue
		}
		for _, p := range c.Patches {
			if p != first {
				why = "it needs " + first.Path
			}
			left = append(left, Left{p.Path, why})
		}
	}
	return patches, left
}

// doubtful says why a volume is left alone where it is not sure what follows what: whatever goes
// may be what the patch in doubt needs.
func (o Options) doubtful(v *archive.Volume) (left []Left) {
	about, known := "", startTogether(v.Chains)
	for _, c := range v.Chains {
		for _, p := range c.Patches {
			switch {
			case p.Doubt != "" && before(p) != nil && !o.Trust:
				about = p.Path
				left = append(left, Left{p.Path, fmt.Sprintf(
					"whether it follows %s is in doubt: %s", p.Follows.Path, p.Doubt)})
			case p == c.First() && !known && nameless(p) && !o.Trust:
				about = p.Path
				left = append(left, Left{p.Path, p.Gap})
			case p.Follows != nil && p.Header.Start > 0:
				about = p.Path
				left = append(left, Left{p.Path, "it is the rest of an interrupted run"})
			}
		}
	}
	if about == "" {
		return nil
	}
	told := make(map[string]bool)
	for _, l := range left {
		told[l.Path] = true
	}
	for _, c := range v.Chains {
		for _, p := range c.Patches {
			if !told[p.Path] {
				left = append(left, Left{p.Path, "it may be what " + about + " needs"})
			}
		}
	}
	return left
}

// startTogether tells whether chains start from one state: they fork there, or one begins with what
// the first of another was merged into.
func startTogether(chains []archive.Chain) bool {
	if len(chains) < 2 {
		return true
	}
	return slices.ContainsFunc(chains, func(a archive.Chain) bool {
		return !slices.ContainsFunc(chains, func(b archive.Chain) bool {
			x, y := a.First().Header, b.First().Header
			return x.ID != y.ID && !sameStart(x, y)
		})
	})
}

// nameless tells whether a patch that isn't full names nothing that it starts from, so that it may
// be anything.
func nameless(p *archive.Patch) bool {
	return p.Header.Kind != format.Full && len(follow.Starts(p.Header)) == 0
}

// before is the patch that another one follows; not one that starts from the same, which the
// archive may take for that where there is no full patch and only clocks tell of the order.
func before(p *archive.Patch) *archive.Patch {
	if b := p.Follows; b == nil || p.Doubt == "" || !sameStart(p.Header, b.Header) {
		return b
	}
	return nil
}

func sameStart(x, y format.Header) bool {
	starts := follow.Starts(x)
	return len(starts) > 0 && slices.Equal(starts, follow.Starts(y)) ||
		x.Merged != nil && slices.Contains(x.Merged.Patches, y.ID)
}

// fixed says why the file of a patch must stay as it is.
func (o Options) fixed(p *archive.Patch) string {
	if o.Fixed == nil {
		return ""
	}
	return o.Fixed(p)
}
