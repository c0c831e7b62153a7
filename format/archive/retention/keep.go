package retention

import (
	"fmt"
	"slices"
	"time"

	"lvmsync/format/follow"
)

// keep says of each patch of the tree why it is kept.
func (o Options) keep(t *tree, c copies) {
	misdated := t.misdated(o.Now)
	states := t.states()
	volumes := t.volumes(states)
	for _, v := range volumes {
		o.keepByRules(v, misdated, len(volumes) > 1)
	}
	for _, n := range states {
		if why := misdated[n.State()]; why != "" {
			n.why = append(n.why, why)
		}
	}
	for _, n := range t.nodes {
		if n.fixed = c.fixed(n.Patch); n.fixed != "" {
			n.why = append(n.why, n.fixed)
		}
	}
	t.keepOthers(states)
	for _, n := range t.nodes {
		if len(n.why) > 0 {
			n.need()
		}
	}
}

// keepByRules says of the states of a volume which rules keep them. One that has no right time
// counts for none.
func (o Options) keepByRules(v *oneVolume, misdated map[string]string, named bool) {
	var dated []*node
	var times []time.Time
	for _, n := range v.states {
		if misdated[n.State()] == "" {
			dated, times = append(dated, n), append(times, n.Time())
		}
	}
	for i, why := range o.Keep(times, o.Now.Location()) {
		for _, one := range why {
			if named {
				one += " of " + v.name
			}
			dated[i].why = append(dated[i].why, one)
		}
	}
}

// keepOthers keeps all that other dumps have of a state that is kept: a snapshot may have been
// written to between them, and one may have what another one has lost.
func (t *tree) keepOthers(best []*node) {
	kept := make(map[string][]*node)
	for _, n := range t.nodes {
		if len(n.why) > 0 {
			kept[n.State()] = append(kept[n.State()], n)
		}
	}
	for _, n := range append(best, t.nodes...) {
		of := kept[n.State()]
		if of == nil || len(n.why) > 0 ||
			slices.ContainsFunc(of, func(o *node) bool { return Same(o.Patch, n.Patch) }) {
			continue
		}
		n.why = append(n.why, fmt.Sprintf("another dump of what %s leads to", of[0].Path))
		kept[n.State()] = append(of, n)
	}
}

// A oneVolume is one of the volumes of a tree, which has states of it.
type oneVolume struct {
	name   string // for people
	states []*node
}

// A volumeKey tells a volume from others by its name for programs and its host: the disks of
// machines that were copied have the same UUIDs. Two disks may have had one path.
type volumeKey struct{ id, host, device string }

func (n *node) volume() volumeKey {
	k := volumeKey{id: follow.Volume(n.Header), host: n.Header.Host}
	if n.Header.Source.LVUUID == "" {
		k.device = n.Header.Source.DeviceUUID
	}
	return k
}

// volumes are those that the patches of the tree are of, each with its states. A state that patches
// of two volumes lead to is one of both.
func (t *tree) volumes(states []*node) (volumes []*oneVolume) {
	best := make(map[string]*node)
	for _, n := range states {
		best[n.State()] = n
	}
	type member struct {
		volumeKey
		state string
	}
	by, seen := make(map[volumeKey]*oneVolume), make(map[member]bool)
	for _, n := range t.nodes {
		id := n.volume()
		v := by[id]
		if v == nil {
			v = new(oneVolume)
			by[id] = v
			volumes = append(volumes, v)
		}
		if v.name = follow.VolumeName(n.Header); id.host != "" {
			v.name += " on " + id.host
		}
		if m := (member{id, n.State()}); !seen[m] {
			seen[m] = true
			v.states = append(v.states, best[n.State()])
		}
	}
	for _, v := range volumes { // of two of one time that which follows the other comes first
		slices.Reverse(v.states)
	}
	return volumes
}
