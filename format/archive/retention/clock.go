package retention

import (
	"cmp"
	"slices"
	"time"

	"lvmsync/format/follow"
)

// firstYear is the first that a clock has which was ever set: without a battery they begin before.
const firstYear = 2001

// misdated tells of each state whether its time may be one that a clock which was wrong has given:
// it is later than now, before any clock is set, or not in order with that of a state which it
// follows, or that follows it, or the clock was set between it and another one. Of two that are not
// in order either may be wrong: as both are kept, the next run sees it, too.
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
	clocked := func(n *node) bool { return why[n.State()] == "" }
	for n := range t.outOfOrder(clocked) {
		why[n.State()] = "its time is not in order"
	}
	for _, n := range t.contradicted() {
		if clocked(n) {
			why[n.State()] = "the clock was set"
		}
	}
	return why
}

// contradicted are the nodes of which the times since machines were started say that a clock was
// set between them.
func (t *tree) contradicted() (all []*node) {
	dumps := slices.Clone(t.nodes)
	slices.SortStableFunc(dumps, func(a, b *node) int {
		return cmp.Or(cmp.Compare(a.Header.Host, b.Header.Host),
			a.Header.Created.Compare(b.Header.Created))
	})
	boots := make(map[string]*node) // the last dump of each
	for i, n := range dumps {
		boot := n.Header.Source.BootID
		if other := boots[boot]; boot != "" && other != nil &&
			follow.Contradict(other.Header, n.Header) {
			all = append(all, other, n)
		}
		if i > 0 && follow.Contradict(dumps[i-1].Header, n.Header) {
			all = append(all, dumps[i-1], n)
		}
		boots[boot] = n
	}
	return all
}

// outOfOrder are the nodes with a time that is earlier than that of one before them, or later than
// that of one behind them, as far as these count.
func (t *tree) outOfOrder(counts func(*node) bool) map[*node]bool {
	odd := make(map[*node]bool)
	latest := make(map[*node]time.Time) // of it and those before it
	for _, n := range t.nodes {         // each is behind that before it
		if n.before != nil {
			latest[n] = latest[n.before]
		}
		if !counts(n) {
			continue
		}
		if n.Time().Before(latest[n]) {
			odd[n] = true
			for b := n.before; b != nil; b = b.before {
				if counts(b) && b.Time().After(n.Time()) {
					odd[b] = true
				}
			}
		} else {
			latest[n] = n.Time()
		}
	}
	return odd
}
