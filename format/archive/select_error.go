package archive

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lvmsync/format/follow"
)

// Why no state was selected. Otherwise a [SelectError] is about a file, and matches what is wrong
// with that.
var (
	ErrNoState   = errors.New("no such state")
	ErrAmbiguous = errors.New("which state is meant can't be told")
	ErrGap       = errors.New("patches are missing on the way to the state")
	ErrDoubt     = errors.New("the way to the state is in doubt")
)

// A SelectError says why no state was selected.
type SelectError struct {
	Err    error
	Reason string
	Chain  []*Patch // that lead to the state, where what they start from is missing
	Others []*Patch // states that can be named, by time
}

// maxOthers is how many states a message lists.
const maxOthers = 5

// Error says why, and what can be named instead.
func (e *SelectError) Error() string {
	var list []string
	for _, p := range e.Others[max(0, len(e.Others)-maxOthers):] {
		name := p.String()
		if e.ofSeveral() {
			name = follow.VolumeName(p.Header) + " of " + name
		}
		list = append(list, name)
	}
	if len(list) == 0 {
		return e.Reason
	}
	slices.Reverse(list)
	left := ""
	if n := len(e.Others) - len(list); n > 0 {
		left = fmt.Sprintf(", and %d older ones", n)
		if n == 1 {
			left = ", and an older one"
		}
	}
	return fmt.Sprintf("%s; there are the states of %s%s", e.Reason, strings.Join(list, ", "), left)
}

// ofSeveral tells whether the states that can be named are of several volumes.
func (e *SelectError) ofSeveral() bool {
	return slices.ContainsFunc(e.Others, func(p *Patch) bool {
		return follow.VolumeName(p.Header) != follow.VolumeName(e.Others[0].Header)
	})
}

// Unwrap gives the kind of the error.
func (e *SelectError) Unwrap() error { return e.Err }

// refuse is the error of that kind, with all states that can be restored.
func (a *Archive) refuse(kind error, reason string) *SelectError {
	e := &SelectError{Err: kind, Reason: reason}
	for _, v := range a.Volumes {
		for _, p := range v.States() {
			if !p.InDoubt() {
				e.Others = append(e.Others, p)
			}
		}
	}
	slices.SortStableFunc(e.Others, compare)
	return e
}

// Snapshot is the name of the snapshot that the state is, for people, with that of its volume group
// where that is known; empty if it is none.
func (p *Patch) Snapshot() string {
	id := follow.StateOf(p.Header).Snapshot
	if id == "" {
		return ""
	}
	return follow.SnapshotName(p.Header, id)
}

// String names the state for people: by its time, its snapshot and the file.
func (p *Patch) String() string {
	name := p.Path
	if s := p.Snapshot(); s != "" {
		name = s + ", " + name
	}
	return fmt.Sprintf("%s (%s)", clock(p.Time()), name)
}
