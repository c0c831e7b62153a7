package archive

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lvmsync/format/follow"
)

// A Choice says which state of an archive is meant; the zero value: the newest of all.
type Choice struct {
	// At, unless it is zero, means the newest state that isn't later.
	At time.Time
	// Name, unless it is empty, means the state that has it: as the name of its snapshot, with
	// or without that of the volume group, as the UUID of that, as the id of a patch that leads to
	// it, or the beginning of one of these two, or as a file or its path, with or without
	// .lvmpatch. At counts for nothing
	// then.
	Name string
}

// Select finds the state that is meant, which can be restored without a doubt. Nothing is guessed,
// and no older state is given for a newer one that is there and can't be restored: the error, a
// [*SelectError], says what can be chosen.
func (a *Archive) Select(c Choice) (*Patch, error) {
	var v *Volume
	var p *Patch
	var err error
	if c.Name != "" {
		v, p, err = a.named(c.Name)
	} else {
		v, p, err = a.newest(c.At)
	}
	if err != nil {
		return nil, err
	}
	return a.wayTo(v, p)
}

// newest is the newest patch that is not later than at; zero: of all.
func (a *Archive) newest(at time.Time) (*Volume, *Patch, error) {
	v, err := a.only()
	if err != nil {
		return nil, nil, err
	}
	all := v.states()
	upTo := slices.DeleteFunc(slices.Clone(all), func(p *Patch) bool {
		return !at.IsZero() && p.Time().After(at)
	})
	if len(upTo) == 0 {
		return nil, nil, a.refuse(ErrNoState, "no state is as old as "+clock(at))
	}
	p := upTo[len(upTo)-1]
	for _, q := range upTo {
		if q.State() == p.State() && q.CompareWay(p) < 0 {
			p = q
		}
	}
	if q := rival(p, upTo); q != nil {
		return nil, nil, a.refuse(ErrAmbiguous, fmt.Sprintf("which is the newest can't be told, "+
			"the state of %v or that of %v", p, q))
	}
	if q := p.later(); q != nil {
		return nil, nil, a.refuse(ErrAmbiguous, fmt.Sprintf("the way to the state of %v leads "+
			"through that of %v, which is later: a clock was wrong", p, q))
	}
	for _, f := range a.Files {
		if f.mayBeNewer(p, at) {
			return nil, nil, a.refuse(f.Err, fmt.Sprintf("%s may have a newer state than that of "+
				"%v, and can't be used: %v", f.Path, p, f.Err))
		}
	}
	return v, p, nil
}

// only is the only volume that there is.
func (a *Archive) only() (*Volume, error) {
	var volumes []*Volume
	var names []string
	for _, v := range a.Volumes {
		if len(v.Chains) > 0 {
			volumes = append(volumes, v)
			names = append(names, v.Name)
		}
	}
	switch {
	case len(volumes) == 1:
		return volumes[0], nil
	case len(volumes) > 1:
		unusable, _ := a.unusable() // without which one may look like two
		return nil, a.refuse(ErrAmbiguous, fmt.Sprintf("the patches are of %d volumes, %s%s",
			len(volumes), strings.Join(names, " and "), unusable))
	}
	for _, f := range a.Files {
		if f.Bad() {
			return nil, a.refuse(f.Err, fmt.Sprintf("no patch can be used, such as %s: %v",
				f.Path, f.Err))
		}
	}
	return nil, a.refuse(ErrNoState, "there is no full patch, and no delta")
}

// states are the patches that lead to one, by time, whether it can be restored or not.
func (v *Volume) states() (all []*Patch) {
	for _, c := range v.Chains {
		all = append(all, c.Patches...)
	}
	slices.SortStableFunc(all, compare)
	return all
}

// rival is a patch that may be newer than p, the last by time: it comes after that, or has no time,
// or no other one.
func rival(p *Patch, all []*Patch) *Patch {
	for _, q := range all {
		dated := !q.Time().IsZero() && q.Time().Before(p.Time())
		switch {
		case q.State() == p.State():
		case p.passes(q) && !q.passes(p):
		case !dated || q.passes(p):
			return q
		}
	}
	return nil
}

// later is a patch on the way to p whose state is later than that of p; nil: there is none.
func (p *Patch) later() *Patch {
	for q := p.Follows; q != nil; q = q.Follows {
		if q.Time().After(p.Time()) {
			return q
		}
	}
	return nil
}

// passes tells whether the way to p leads through where q leads to.
func (p *Patch) passes(q *Patch) bool {
	state := q.State()
	for x := p.Follows; x != nil; x = x.Follows {
		if x.State() == state {
			return true
		}
	}
	return false
}

// named finds the state of that name.
func (a *Archive) named(name string) (*Volume, *Patch, error) {
	for _, matches := range []func(*Patch, string) bool{(*Patch).hasName, (*Patch).hasStem,
		(*Patch).hasPrefix} {
		var of *Volume
		var found []*Patch
		for _, v := range a.Volumes {
			for _, p := range v.states() {
				if matches(p, name) {
					of, found = v, append(found, p)
				}
			}
		}
		other := func(p *Patch) bool { return p.State() != found[0].State() }
		switch {
		case slices.ContainsFunc(found, other):
			return nil, nil, ambiguous(name, found)
		case len(found) > 0:
			return of, found[len(found)-1], nil
		}
	}
	return nil, nil, a.unnamed(name)
}

// ambiguous says that several states have the name.
func ambiguous(name string, found []*Patch) error {
	return &SelectError{Err: ErrAmbiguous, Others: found,
		Reason: fmt.Sprintf("%q is the name of several states", name)}
}

// unnamed says what has the name, if anything does.
func (a *Archive) unnamed(name string) error {
	for _, v := range a.Volumes {
		for _, p := range v.Undo {
			if p.hasName(name) {
				return a.refuse(ErrNoState, p.Path+" is an undo patch, which leads to none of the "+
					"states here")
			}
		}
	}
	for _, f := range a.Files {
		if f.Path == name || filepath.Base(f.Path) == name {
			return a.refuse(f.Err, fmt.Sprintf("%s: %v", f.Path, f.Err))
		}
	}
	return a.refuse(ErrNoState, fmt.Sprintf("no state has the name %q", name))
}

// hasName tells whether the patch, or the state that it leads to, has the name.
func (p *Patch) hasName(name string) bool {
	if p.Path == name || filepath.Base(p.Path) == name {
		return true
	}
	if s := p.Snapshot(); s != "" && (s == name || filepath.Base(s) == name) {
		return true
	}
	return slices.ContainsFunc(p.ids(), func(id string) bool { return strings.EqualFold(id, name) })
}

// hasStem tells whether it is in the file of that name, but for its ending.
func (p *Patch) hasStem(name string) bool {
	return p.Path == name+".lvmpatch" || filepath.Base(p.Path) == name+".lvmpatch"
}

// hasPrefix tells whether one of its ids begins so, with enough to be no slip.
func (p *Patch) hasPrefix(name string) bool {
	return len(name) >= minPrefix && slices.ContainsFunc(p.ids(), func(id string) bool {
		return len(name) <= len(id) && strings.EqualFold(id[:len(name)], name)
	})
}

// minPrefix is how many characters of an id must be named.
const minPrefix = 4

// ids are those of the patches that lead to the state, and the UUID of its snapshot.
func (p *Patch) ids() (ids []string) {
	for _, name := range follow.Leads(p.Header) {
		_, id, _ := strings.Cut(name, " ")
		ids = append(ids, id)
	}
	return ids
}

// wayTo is the patch by which the state that p leads to can be restored. That may be another one.
func (a *Archive) wayTo(v *Volume, p *Patch) (*Patch, error) {
	if !p.Restorable() || p.InDoubt() {
		for _, q := range v.States() {
			if q.State() == p.State() {
				p = q
			}
		}
	}
	if !p.Restorable() {
		return nil, a.gap(p)
	}
	for _, q := range p.Chain() {
		if q.Doubt != "" {
			return nil, a.refuse(ErrDoubt, fmt.Sprintf("the way to the state of %v is in doubt: "+
				"%s after %s: %s", p, q.Path, q.Follows.Path, q.Doubt))
		}
	}
	return p, nil
}

// gap says why the state of p can't be restored.
func (a *Archive) gap(p *Patch) error {
	first := p.First()
	reason := fmt.Sprintf("the state of %v can't be restored: ", p)
	if first != p {
		reason += fmt.Sprintf("of %s, which the way to it begins with: ", first.Path)
	}
	err := a.refuse(ErrGap, reason+first.Gap)
	err.Chain = p.Chain()
	unusable, bad := a.unusable()
	err.Reason += unusable
	err.Err = errors.Join(err.Err, bad)
	return err
}

// unusable tells of the files that seem to be patches and can't be used, behind a reason.
func (a *Archive) unusable() (text string, err error) {
	for _, f := range a.Files {
		if f.Bad() {
			text += fmt.Sprintf("; and %s can't be used: %v", f.Path, f.Err)
			err = errors.Join(err, f.Err)
		}
	}
	return text, err
}
