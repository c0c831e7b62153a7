package retention

import (
	"errors"
	"fmt"
	"slices"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/follow"
	"lvmsync/format/volume"
)

// An AloneError says why a volume is left alone: of a file there, nobody knows what it needs, and
// whatever goes may be that.
type AloneError struct {
	Volume string
	Path   string // of the file
	Reason string
	// Err is what it is like: archive.ErrGap, archive.ErrDoubt, volume.ErrLost, format.ErrCorrupt
	// for any file that is no whole patch, or why it can't be read.
	Err error
}

// Error says which volume and why.
func (e *AloneError) Error() string {
	return fmt.Sprintf("%s is left alone: %s: %s", e.Volume, e.Path, e.Reason)
}

// Unwrap gives the cause.
func (e *AloneError) Unwrap() error { return e.Err }

const rest = "it is the rest of an interrupted run"

// questions are the files of a volume, or that may be of it, of which it is not known what they
// need.
func questions(v *archive.Volume, files []archive.File) (all []*AloneError) {
	ask := func(path, reason string, err error) {
		all = append(all, &AloneError{v.Name, path, reason, err})
	}
	in := inMerged(v)
	for _, f := range files {
		// A file with the same patch may be merged, and go: then there is none.
		damaged := f.Same != nil && f.Status != archive.Copy
		mayNeed := damaged || f.Bad() || errors.Is(f.Err, archive.ErrAnother)
		if !mayNeed || f.Header != nil && !v.Has(*f.Header) {
			continue
		}
		err := f.Err
		if f.Status != archive.Unreadable {
			err = fmt.Errorf("%w: %w", format.ErrCorrupt, f.Err)
		}
		ask(f.Path, fmt.Sprintf("it can't be used: %v", f.Err), err)
	}
	full := slices.ContainsFunc(v.Chains, func(c archive.Chain) bool {
		return c.First().Header.Kind == format.Full
	})
	together := startTogether(v.Chains)
	for _, c := range v.Chains {
		if merged(c, in) {
			continue
		}
		for _, p := range c.Patches {
			isFirst := p == c.First()
			switch {
			case p.Header.Start > 0:
				ask(p.Path, rest, archive.ErrGap)
			case p.Doubt != "" && before(p) != nil:
				ask(p.Path, fmt.Sprintf("whether it follows %s is in doubt: %s", p.Follows.Path,
					p.Doubt), archive.ErrDoubt)
			case isFirst && full && p.Header.Kind != format.Full:
				ask(p.Path, p.Gap, archive.ErrGap)
			case isFirst && !together && !full:
				ask(p.Path, "what it starts from is not here, nor is that of others: "+p.Gap,
					archive.ErrGap)
			}
		}
	}
	return all
}

// lossy are the questions about states that are needed and have been dumped several times, each
// time with sectors lost. What follows takes one of them, and which might change once they are
// merged.
func (t *tree) lossy(v *archive.Volume) (all []*AloneError) {
	first, whole := make(map[string]*node), make(map[string]bool)
	for _, n := range t.nodes {
		if n.needed && n.Losses() == 0 {
			whole[n.State()] = true
		}
	}
	for _, n := range t.nodes {
		if !n.needed || whole[n.State()] {
			continue
		}
		other := first[n.State()]
		switch {
		case other == nil:
			first[n.State()] = n
		case !Same(n.Patch, other.Patch):
			all = append(all, &AloneError{v.Name, n.Path, fmt.Sprintf("sectors are lost on its way "+
				"and on that of %s, which leads to the same state", other.Path), volume.ErrLost})
		}
	}
	return all
}

// alone are the patches of a volume, each with the question about it, or with what may need it.
func alone(v *archive.Volume, questions []*AloneError) (left []Left) {
	reasons := make(map[string]string)
	for _, q := range questions {
		reasons[q.Path] = q.Reason
	}
	for _, c := range v.Chains {
		for _, p := range c.Patches {
			why, ok := reasons[p.Path]
			if !ok {
				why = "it may be what " + questions[0].Path + " needs"
			}
			left = append(left, Left{p.Path, why})
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

// before is the patch that another one follows. Where there is no full patch, one that starts from
// where its chain does needs none of those between: neither those that only clocks tell of, nor
// those to a state that it, or what it was merged of, leads to as well.
func before(p *archive.Patch) *archive.Patch {
	if b := p.Follows; b == nil || p.Restorable() || !sameStart(p.Header, p.First().Header) &&
		(p.Doubt == "" || !sameStart(p.Header, b.Header)) {
		return b
	}
	return nil
}

func sameStart(x, y format.Header) bool {
	starts := follow.Starts(x)
	return len(starts) > 0 && slices.Equal(starts, follow.Starts(y)) ||
		x.Merged != nil && slices.Contains(x.Merged.Patches, y.ID)
}
