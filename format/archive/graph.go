package archive

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/follow"
)

// How many patches are looked at for one that another may follow. Whoever has more of a kind may
// be told of a gap that is none, never the other way round.
const (
	maxNamed  = 64 // that lead to where it starts, by name
	maxInTime = 64 // that no name links to it, the next in time
	maxFull   = 16 // full ones among these
)

// A cost is what there is on the way to a state: the cheapest way is taken.
type cost struct {
	doubts int
	early  int // patches that were dumped before that which they follow
	losses int // patches that may have lost something, which another way may have
	bytes  int64
	steps  int
}

func (c cost) compare(o cost) int {
	return cmp.Or(cmp.Compare(c.doubts, o.doubts), cmp.Compare(c.early, o.early),
		cmp.Compare(c.losses, o.losses), cmp.Compare(c.bytes, o.bytes),
		cmp.Compare(c.steps, o.steps))
}

// with is the cost once a patch comes on top of another one, nil if it is the first.
func (c cost) with(p, before *Patch, doubt string) cost {
	if doubt != "" {
		c.doubts++
	}
	// A snapshot that was dumped again afterwards may have been written to between the two.
	if before != nil && before.Header.Created.After(p.Header.First().Created) {
		c.early++
	}
	if slices.Contains(p.Header.RequiredFeatures, format.LostSectors) {
		c.losses++
	}
	c.bytes, c.steps = c.bytes+p.Size, c.steps+1
	return c
}

// An edge leads to a patch that may follow another one.
type edge struct {
	to    int
	doubt string
}

// A graph has patches of a volume, sorted by time, and which may follow which.
type graph struct {
	patches []*Patch
	edges   [][]edge // from each
	into    []int    // how many lead to each
	settled []bool
	heap    ways
}

// build finds for each patch the one that it follows.
func (g *graph) build() {
	n := len(g.patches)
	for _, p := range g.patches {
		p.Gap = ""
	}
	g.edges, g.into, g.settled = make([][]edge, n), make([]int, n), make([]bool, n)
	g.linkByName()
	full := g.where(func(i int) bool { return g.patches[i].Header.Kind == format.Full })
	g.settle(full)
	// Names lead further than times: these are asked only where names leave something open.
	open := g.where(func(i int) bool { return !g.settled[i] || g.patches[i].cost.doubts > 0 })
	for _, i := range open {
		g.linkInTime(i, full)
	}
	clear(g.settled)
	g.settle(full)
	// What is left starts from something that isn't here.
	g.settle(g.where(func(i int) bool { return !g.settled[i] && g.into[i] == 0 }))
	for i := range n { // in a ring the oldest is the first
		if !g.settled[i] {
			g.settle([]int{i})
		}
	}
	for _, p := range g.patches {
		switch {
		case p.Follows != nil || p.Header.Kind == format.Full:
			p.Gap = ""
		case p.Gap == "":
			p.Gap = gap(p.Header)
		}
	}
}

func (g *graph) where(is func(int) bool) (list []int) {
	for i := range g.patches {
		if is(i) {
			list = append(list, i)
		}
	}
	return list
}

// linkByName adds edges where one starts from what another leads to, by name.
func (g *graph) linkByName() {
	leads := make(map[string][]int)
	for i, p := range g.patches {
		for _, name := range follow.Leads(p.Header) {
			leads[name] = append(leads[name], i)
		}
	}
	for i, p := range g.patches {
		for _, name := range follow.Starts(p.Header) {
			list := leads[name]
			for _, before := range list[:min(len(list), maxNamed)] {
				g.link(before, i)
			}
		}
	}
}

// linkInTime adds edges from the nearest patches that it may follow though no name says so, and
// from the nearest full ones.
func (g *graph) linkInTime(i int, full []int) {
	for before := i - 1; before >= 0 && before >= i-maxInTime; before-- {
		if ok, sure := g.link(before, i); ok && sure {
			break
		}
	}
	looks := 0
	for k := len(full) - 1; k >= 0 && looks < maxFull; k-- {
		if full[k] >= i {
			continue
		}
		looks++
		if ok, sure := g.link(full[k], i); ok && sure {
			break
		}
	}
}

// link adds an edge if patch b may follow patch a, and tells whether nothing is to be looked at.
func (g *graph) link(a, b int) (ok, sure bool) {
	x, y := g.patches[a], g.patches[b]
	if a == b || y.Header.Kind == format.Full || sameState(x.Header, y.Header) {
		return false, false
	}
	v := follow.Check(x.Header, y.Header)
	if v.Reason != "" || v.Hashes {
		if follow.Linked(x.Header, y.Header) {
			y.Gap = fmt.Sprintf("it does not follow %s: %s", x.Path, v.Reason)
		}
		return false, false
	}
	if v.Doubt == "" && nameless(y.Header) {
		v.Doubt = "no name says what it starts from: only what it replaces tells whether it follows"
	}
	g.edges[a] = append(g.edges[a], edge{b, v.Doubt})
	g.into[b]++
	return true, v.Doubt == ""
}

// sameState tells whether both lead to one state: then neither needs the other.
func sameState(a, b format.Header) bool {
	x, y := follow.StateOf(a).Snapshot, follow.StateOf(b).Snapshot
	return x != "" && x == y
}

// nameless tells whether a patch names nothing that it starts from or leads back to, so that of
// what it follows nothing but times tell.
func nameless(h format.Header) bool {
	return len(follow.Starts(h)) == 0 && follow.StateOf(h).Snapshot == "" &&
		h.Source.SnapshotUUID == ""
}

// settle finds the cheapest ways on from the patches in first to all that aren't settled yet.
func (g *graph) settle(first []int) {
	for _, i := range first {
		heap.Push(&g.heap, way{to: i, from: -1,
			cost: cost{}.with(g.patches[i], nil, "")})
	}
	for g.heap.Len() > 0 {
		w := heap.Pop(&g.heap).(way)
		if g.settled[w.to] {
			continue
		}
		g.settled[w.to] = true
		p := g.patches[w.to]
		p.cost, p.Doubt, p.Follows, p.first, p.depth = w.cost, w.doubt, nil, p, 0
		if w.from >= 0 {
			p.Follows = g.patches[w.from]
			p.first, p.depth = p.Follows.first, p.Follows.depth+1
		}
		for _, e := range g.edges[w.to] {
			if !g.settled[e.to] {
				heap.Push(&g.heap, way{e.to, w.to, e.doubt,
					w.cost.with(g.patches[e.to], p, e.doubt)})
			}
		}
	}
}

// gap says what a patch starts from, which no patch here leads to.
func gap(h format.Header) string {
	base := follow.BaseOf(h)
	switch {
	case h.Start > 0:
		return fmt.Sprintf("it is the rest of an interrupted run and leaves out what changed "+
			"before byte %d", h.Start)
	case base.Patch != uuid.Nil:
		return fmt.Sprintf("it follows the patch with the id %s, which is not here", base.Patch)
	case base.Snapshot != "":
		return fmt.Sprintf("it starts from snapshot %s, where no patch here leads",
			follow.SnapshotName(h, base.Snapshot))
	}
	return "what it starts from has no name, and no older patch is here that it may follow"
}

// A way leads to a patch, from another one or none.
type way struct {
	to, from int
	doubt    string
	cost     cost
}

// ways are a heap, the cheapest first.
type ways []way

func (w ways) Len() int { return len(w) }
func (w ways) Less(i, j int) bool {
	return cmp.Or(w[i].cost.compare(w[j].cost), cmp.Compare(w[i].to, w[j].to),
		cmp.Compare(w[i].from, w[j].from)) < 0
}
func (w ways) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *ways) Push(x any)   { *w = append(*w, x.(way)) }
func (w *ways) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}
