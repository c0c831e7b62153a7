package retention

import (
	"slices"
	"sort"
	"time"
)

// firstYear is the first that a clock has which was ever set: without a battery they begin before.
const firstYear = 2001

// disorder says that of a state, or one that follows it, the time may be wrong.
const disorder = "its time is not in order"

// misdated tells of each state whether its time is one that a clock which was wrong has given: it
// is later than now, before any clock is set, or doesn't go with those before and behind it.
func (t *tree) misdated(now time.Time) map[string]string {
	why := make(map[string]string)
	for _, n := range t.nodes {
		switch at := n.Time(); {
		case at.After(now):
			why[n.State()] = "later than now"
		case at.Year() < firstYear:
			why[n.State()] = "no clock was set"
		}
	}
	for _, n := range t.nodes {
		if len(n.after) > 0 {
			continue
		}
		for _, odd := range outOfOrder(n.way()) {
			if why[odd.State()] == "" {
				why[odd.State()] = disorder
			}
		}
	}
	return why
}

// way is the node and those before it, the first one first.
func (n *node) way() (way []*node) {
	for ; n != nil; n = n.before {
		way = append(way, n)
	}
	slices.Reverse(way)
	return way
}

// outOfOrder are the nodes of a way whose times may be wrong, if as few are as can be: the times of
// the others are in order, whichever these are.
func outOfOrder(way []*node) (odd []*node) {
	if slices.IsSortedFunc(way, (*node).compareTime) {
		return nil
	}
	up := inOrder(way, (*node).compareTime)
	slices.Reverse(way)
	down := inOrder(way, func(n, o *node) int { return o.compareTime(n) })
	slices.Reverse(way)
	slices.Reverse(down)
	most := slices.Max(up)
	at := make(map[int]int) // how many of the longest may have a node at a place
	longest := func(i int) bool { return up[i]+down[i]-1 == most }
	for i := range way {
		if longest(i) {
			at[up[i]]++
		}
	}
	for i, n := range way {
		if !longest(i) || at[up[i]] > 1 {
			odd = append(odd, n)
		}
	}
	return odd
}

// inOrder tells of each node how many there are, as many as can be, that are in order and of which
// it is the last.
func inOrder(way []*node, compare func(n, o *node) int) (count []int) {
	var ends []*node // of those of each count, the least
	for _, n := range way {
		at := sort.Search(len(ends), func(i int) bool { return compare(ends[i], n) > 0 })
		if at == len(ends) {
			ends = append(ends, nil)
		}
		ends[at] = n
		count = append(count, at+1)
	}
	return count
}

func (n *node) compareTime(o *node) int { return n.Time().Compare(o.Time()) }

// tips are the nodes behind n that none of the same volume follows.
func (n *node) tips() (tips []*node) {
	for _, a := range n.after {
		if !slices.ContainsFunc(a.after, func(b *node) bool { return b.volume() == a.volume() }) {
			tips = append(tips, a)
		}
		tips = append(tips, a.tips()...)
	}
	return tips
}
