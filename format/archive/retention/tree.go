package retention

import (
	"cmp"
	"fmt"
	"slices"

	"lvmsync/format"
	"lvmsync/format/archive"
)

// A tree has the patches of a volume that are understood.
type tree struct{ nodes []*node }

// A node is a patch and those that follow it.
type node struct {
	*archive.Patch
	before *node   // nil: none of the tree
	after  []*node // that follow it
	depth  int     // of patches before it

	why    []string // its state is kept; empty: it isn't
	fixed  string   // why the file must stay as it is
	needed bool     // a kept state needs it
}

// newTree has the patches of a volume, but those that are in merged ones already and can't be
// restored.
func newTree(v *archive.Volume) (t *tree, left []Left) {
	t = new(tree)
	in := inMerged(v)
	for _, c := range v.Chains {
		if !merged(c, in) {
			t.addChain(c)
			continue
		}
		for _, p := range c.Patches {
			left = append(left, Left{p.Path, fmt.Sprintf("%s has it already, and what it starts "+
				"from is not here", in[p.Header.ID].Path)})
		}
	}
	return t, left
}

// addChain adds the patches of a chain.
func (t *tree) addChain(c archive.Chain) {
	by := make(map[*archive.Patch]*node)
	for _, p := range c.Patches {
		var new []*archive.Patch // it, and what is before it in the chain though not in time
		for q := p; q != nil && by[q] == nil; q = before(q) {
			new = append(new, q)
		}
		for _, q := range slices.Backward(new) {
			by[q] = t.add(q, by[before(q)])
		}
	}
}

// add adds a patch behind another one, or first.
func (t *tree) add(p *archive.Patch, before *node) *node {
	n := &node{Patch: p, before: before}
	if before != nil {
		before.after = append(before.after, n)
		n.depth = before.depth + 1
	}
	t.nodes = append(t.nodes, n)
	return n
}

// states are the states that the patches lead to, the newest first: of several patches that lead to
// one that by which an archive gives it. It is kept if the state is.
func (t *tree) states() (states []*node) {
	best := make(map[string]*node)
	for _, n := range t.nodes {
		name := n.State()
		if b := best[name]; b == nil || n.compareWay(b) < 0 {
			best[name] = n
		}
	}
	for _, n := range t.nodes {
		if best[n.State()] == n {
			states = append(states, n)
		}
	}
	slices.SortStableFunc(states, func(a, b *node) int { return a.Time().Compare(b.Time()) })
	slices.Reverse(states)
	return states
}

// compareWay tells which of two nodes that lead to one state is the better one: that of which a
// killed run has merged the other.
func (n *node) compareWay(o *node) int {
	if Same(n.Patch, o.Patch) && n.Losses() == o.Losses() {
		return cmp.Or(cmp.Compare(n.depth, o.depth), n.CompareWay(o.Patch))
	}
	return n.CompareWay(o.Patch)
}

// need says that a kept state needs the patch, and so all before it.
func (n *node) need() {
	for ; n != nil && !n.needed; n = n.before {
		n.needed = true
	}
}

// stays tells whether there is a file for the state of a needed patch when all is done: it is kept,
// what is kept can't take it in, or several that are kept would have to.
func (n *node) stays() bool {
	if len(n.why) > 0 || n.fixed != "" {
		return true
	}
	var next []*node
	for _, a := range n.after {
		if a.needed {
			next = append(next, a)
		}
	}
	return len(next) != 1 || next[0].fixed != "" || next[0].early()
}

// early tells whether the patch was dumped before that which it follows, as far as clocks tell. Of
// one that was merged of both nobody would see it, and take it for a better way than it is.
func (n *node) early() bool {
	return n.before != nil && n.before.Header.Created.After(n.Header.First().Created)
}

// named is how many patches led to the state before this one did. What followed one of them finds
// it by that, so that none may be left out.
func (n *node) named() int {
	if n.Header.State == nil {
		return 0
	}
	return len(n.Header.State.Patches)
}

// group are the patches that become one, of which n is the last.
func (n *node) group() []*node {
	if !n.needed || !n.stays() || n.fixed != "" || n.named() >= format.MaxStatePatches {
		return nil
	}
	group := []*node{n}
	for b := n.before; b != nil && !b.stays(); b = b.before {
		group = append(group, b)
	}
	slices.Reverse(group)
	return group
}

// going adds the patch to what goes, and what follows it but is not needed.
func (n *node) going(list []*node, gone map[*node]bool) []*node {
	gone[n] = true
	list = append(list, n)
	for _, a := range n.after {
		if !a.needed {
			list = a.going(list, gone)
		}
	}
	return list
}
