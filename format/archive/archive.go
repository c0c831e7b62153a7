// Package archive tells what lies in a folder of patches: which follows which, and which states
// of which volumes can be restored. It reads headers and trailers only, and writes nothing.
package archive

import (
	"cmp"
	"context"
	"slices"
	"time"

	"lvmsync/format"
	"lvmsync/format/follow"
)

// A Status tells what a file is that is no patch to build upon.
type Status string

const (
	Unfinished Status = "unfinished" // a dump is writing it, or was broken off
	Truncated  Status = "truncated"  // without its end
	Damaged    Status = "damaged"    // header or trailer is not right
	Newer      Status = "newer"      // it takes a newer program to read it
	Copy       Status = "copy"       // another file has the same patch
	Foreign    Status = "foreign"    // none of ours
	Unreadable Status = "unreadable" // it can't be read
)

// A File is what lies there and is no patch to build upon. Nobody may take it away unasked.
type File struct {
	Path   string
	Status Status
	Err    error          // why
	Header *format.Header // of a patch that has a right one; nil: not known
	Same   *Patch         // which is the same patch, and can be built upon; nil: none is known
	Copy   *Patch         // of one whose Status is Copy: what is in it; nil: nothing to build upon

	sum uint64 // as that of a Patch
}

// A Patch is one whose header and trailer are right.
type Patch struct {
	Path   string
	Link   bool          // the path is a symbolic link
	Header format.Header // without places of the source and fingerprint of the base
	Totals format.Totals // of an undo patch without its end nothing
	Size   int64         // in bytes
	NoEnd  bool          // it is an undo patch whose end was never written

	Follows *Patch // the one before it in its chain; nil: it is the first
	Doubt   string // what is to be looked at where it follows that
	Gap     string // why it follows none, though it isn't full

	sum    uint64   // over all of it, as its trailer has it; 0: not known
	copies []string // other files that seem to have the same

	cost  cost
	first *Patch
	depth int // of patches before it
}

// Time is that of the state that the patch leads to.
func (p *Patch) Time() time.Time { return stateTime(p.Header) }

func stateTime(h format.Header) time.Time {
	if s := follow.StateOf(h); s.Snapshot != "" && !s.SnapshotCreated.IsZero() {
		return s.SnapshotCreated
	}
	return h.Created
}

// Broken is the file of the patch, of which err has been found since it was looked at.
func (p *Patch) Broken(err error) File {
	return File{Path: p.Path, Status: StatusOf(err), Err: err, Header: &p.Header, sum: p.sum}
}

// VolumeSize is the size of the volume in the state that the patch leads to, in bytes. A merged
// patch needs a destination of its header's size, which may be larger.
func (p *Patch) VolumeSize() int64 { return p.Header.Last().VolumeSize }

// First is the patch that its chain begins with.
func (p *Patch) First() *Patch { return cmp.Or(p.first, p) }

// Restorable tells whether the chain begins with a full patch, so that the state needs nothing
// else. What the segments hold has not been looked at.
func (p *Patch) Restorable() bool { return p.First().Header.Kind == format.Full }

// Losses is how many patches on the way to the state may have lost something of it.
func (p *Patch) Losses() int { return p.cost.losses }

// InDoubt tells whether something is to be looked at on the way to the state.
func (p *Patch) InDoubt() bool { return p.cost.doubts > 0 }

// Chain are the patches that lead to the state, the first one first. Unless that is full, they
// are for what it starts from.
func (p *Patch) Chain() []*Patch {
	chain := make([]*Patch, 0, p.depth+1)
	for ; p != nil; p = p.Follows {
		chain = append(chain, p)
	}
	slices.Reverse(chain)
	return chain
}

// A Chain is a patch and all that lead on from it, by the times of their states. Where it forks,
// Patch.Follows tells.
type Chain struct{ Patches []*Patch }

// First is full, or starts from what no patch here leads to.
func (c Chain) First() *Patch { return c.Patches[0] }

// A Volume is what belongs together: patches of a volume, of its snapshots and of their clones.
type Volume struct {
	Name   string   // for people, as the newest patch has it
	Chains []Chain  // those that begin with a full patch first
	Undo   []*Patch // undo patches, which are part of no chain
}

// An Archive is what lies in folders and files.
type Archive struct {
	Volumes []*Volume // by their names
	Files   []File    // what is no patch to build upon, by path
}

// Read looks at all patches that the paths name, each a file or a folder of which the files count,
// not its folders. What can't be used is in Files; an error means that a path is not there, or
// that ctx has ended. What changes meanwhile may be told in part.
func Read(ctx context.Context, paths ...string) (*Archive, error) {
	found, err := find(paths)
	if err != nil {
		return nil, err
	}
	patches, files, err := look(ctx, found)
	if err != nil {
		return nil, err
	}
	a := New(patches)
	a.Add(files...)
	return a, nil
}

// New tells of patches which follows which; Path, Header and what is known of the contents must be
// set. Copies of one go to Files.
func New(patches []*Patch) *Archive {
	a := new(Archive)
	patches = a.leaveOutCopies(patches)
	for _, group := range byVolume(patches) {
		a.Volumes = append(a.Volumes, newVolume(group))
	}
	slices.SortStableFunc(a.Volumes, func(v, w *Volume) int { return cmp.Compare(v.Name, w.Name) })
	return a
}

// newVolume orders the patches of a volume, which are sorted.
func newVolume(patches []*Patch) *Volume {
	v := &Volume{Name: follow.VolumeName(patches[len(patches)-1].Header)}
	var links graph
	for _, p := range patches {
		if p.Header.Kind == format.Undo {
			v.Undo = append(v.Undo, p)
		} else {
			links.patches = append(links.patches, p)
		}
	}
	links.build()
	at := make(map[*Patch]int)
	for _, p := range links.patches {
		first := p.First()
		i, ok := at[first]
		if !ok {
			i = len(v.Chains)
			at[first] = i
			v.Chains = append(v.Chains, Chain{[]*Patch{first}})
		}
		if p != first {
			v.Chains[i].Patches = append(v.Chains[i].Patches, p)
		}
	}
	slices.SortStableFunc(v.Chains, func(a, b Chain) int {
		return cmp.Compare(rank(a.First()), rank(b.First()))
	})
	return v
}

func rank(p *Patch) int {
	if p.Header.Kind == format.Full {
		return 0
	}
	return 1
}

// Gaps are the patches that should follow others, of which some are missing or not right. Where
// there is no full patch, one of them may start from what another place holds.
func (v *Volume) Gaps() (gaps []*Patch) {
	for _, c := range v.Chains {
		if p := c.First(); p.Gap != "" && (len(v.Chains) > 1 || p.Header.Start > 0) {
			gaps = append(gaps, p)
		}
	}
	return gaps
}

// States are the patches whose states can be restored, by time: of several that lead to one state
// that which nothing speaks against, has lost the least and was made last, for a snapshot may have
// been written to.
func (v *Volume) States() []*Patch {
	var states []*Patch
	at := make(map[string]int)
	for _, c := range v.Chains {
		if c.First().Header.Kind != format.Full {
			continue
		}
		for _, p := range c.Patches {
			i, ok := at[p.State()]
			switch {
			case !ok:
				at[p.State()] = len(states)
				states = append(states, p)
			case p.CompareWay(states[i]) < 0:
				states[i] = p
			}
		}
	}
	slices.SortStableFunc(states, compare)
	return states
}

// CompareWay tells which of two patches that lead to one state is taken: it is less than 0 if p is.
func (p *Patch) CompareWay(q *Patch) int {
	a, b := p.cost, q.cost
	return cmp.Or(cmp.Compare(a.doubts, b.doubts), cmp.Compare(a.early, b.early),
		cmp.Compare(a.losses, b.losses), q.Header.Created.Compare(p.Header.Created),
		cmp.Compare(p.Path, q.Path))
}

// State names the state that the patch leads to: two that lead to one have the same.
func (p *Patch) State() string { return follow.State(p.Header) }

// compare sorts patches by the time of their states.
func compare(a, b *Patch) int {
	return cmp.Or(a.Time().Compare(b.Time()), follow.Older(a.Header, b.Header),
		cmp.Compare(a.Path, b.Path))
}
