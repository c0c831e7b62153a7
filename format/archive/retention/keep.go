package retention

import (
	"fmt"
	"slices"
	"time"

	"lvmsync/format/follow"
)

// keep says of each patch of the tree why it is kept.
func (o Options) keep(t *tree) {
	states := t.states()
	volumes := t.volumes(states)
	for _, v := range volumes {
		var times []time.Time
		for _, n := range v.states {
			times = append(times, n.Time())
		}
		for i, why := range o.Keep(times, o.Now) {
			for _, one := range why {
				if len(volumes) > 1 {
					one += " of " + v.name
				}
				v.states[i].why = append(v.states[i].why, one)
			}
			if slices.Contains(why, newest) {
				v.states[i].keepBehind()
			}
		}
	}
	t.keepLost(states)
	for _, n := range t.nodes {
		if n.fixed = o.fixed(n.Patch); n.fixed != "" {
			n.why = append(n.why, n.fixed)
		}
	}
}

// keepBehind keeps what follows the newest state, for that is newer, whatever a clock said that was
// wrong for a while.
func (n *node) keepBehind() {
	for _, a := range n.after {
		if len(a.after) == 0 {
			a.why = append(a.why, "follows the newest")
		}
		a.keepBehind()
	}
}

// keepLost keeps all ways to a state that is kept if sectors are lost in each of them: one may have
// what another one has lost.
func (t *tree) keepLost(states []*node) {
	lossy := make(map[string]*node)
	for _, n := range states {
		if len(n.why) > 0 && n.losses > 0 {
			lossy[n.State()] = n
		}
	}
	for _, n := range t.nodes {
		if best := lossy[n.State()]; best != nil && best != n {
			n.why = append(n.why, fmt.Sprintf("it may have sectors that %s has lost", best.Path))
		}
	}
}

// A oneVolume is one of the volumes of a tree, which has states of it.
type oneVolume struct {
	name   string // for people
	states []*node
}

// volumes are those that the patches of the tree are of, each with its states. A state that patches
// of two volumes lead to is one of both.
func (t *tree) volumes(states []*node) (volumes []*oneVolume) {
	best := make(map[string]*node)
	for _, n := range states {
		best[n.State()] = n
	}
	type member struct{ volume, state string }
	by, seen := make(map[string]*oneVolume), make(map[member]bool)
	for _, n := range t.nodes {
		id := follow.Volume(n.Header)
		v := by[id]
		if v == nil {
			v = new(oneVolume)
			by[id] = v
			volumes = append(volumes, v)
		}
		v.name = follow.VolumeName(n.Header)
		if m := (member{id, n.State()}); !seen[m] {
			seen[m] = true
			v.states = append(v.states, best[n.State()])
		}
	}
	return volumes
}
