// Package retention decides which states of an archive are kept, and what becomes of the patches
// when the others go. It reads and writes nothing.
package retention

import (
	"fmt"
	"slices"
	"time"
)

// Unlimited keeps all that there are of a kind.
const Unlimited = -1

// A Policy says which states are kept: whatever one of its rules keeps. The words are restic's.
type Policy struct {
	Last                                   int // the newest ones
	Hourly, Daily, Weekly, Monthly, Yearly int // the newest of each of so many hours, days, ...
	Within                                 Span
}

// IsZero tells whether the policy has no rule.
func (p Policy) IsZero() bool { return p == Policy{} }

// newest is why the newest state is kept.
const newest = "newest"

// A rule keeps the newest state of each of the last periods that have one.
type rule struct {
	name   string
	count  int
	period func(t time.Time, i int) string // equal for states of one period
}

func (p Policy) rules() []rule {
	layout := func(layout string) func(time.Time, int) string {
		return func(t time.Time, _ int) string { return t.Format(layout) }
	}
	return []rule{
		{"last", p.Last, func(_ time.Time, i int) string { return fmt.Sprint(i) }},
		// an hour that the clock goes through twice is two
		{"hourly", p.Hourly, layout("2006-01-02 15 -0700")},
		{"daily", p.Daily, layout("2006-01-02")},
		{"weekly", p.Weekly, func(t time.Time, _ int) string {
			year, week := t.ISOWeek()
			return fmt.Sprint(year, week)
		}},
		{"monthly", p.Monthly, layout("2006-01")},
		{"yearly", p.Yearly, layout("2006")},
	}
}

// Keep tells of each state, by its time, why it is kept; nothing if it isn't. Hours, days and so on
// are those of the zone. The newest is always kept, and what has the same time; Within counts from
// that. Where a rule for hours, days and so on is left with some to keep, the oldest is kept, too.
func (p Policy) Keep(times []time.Time, zone *time.Location) [][]string {
	why := make([][]string, len(times))
	order := make([]int, len(times)) // newest first
	for i := range times {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return times[b].Compare(times[a]) })
	if len(order) == 0 {
		return why
	}
	latest := order[0]
	for _, i := range order {
		if times[i].Equal(times[latest]) {
			why[i] = append(why[i], newest)
		}
		if !p.Within.IsZero() && times[i].After(p.Within.Before(times[latest].In(zone))) {
			why[i] = append(why[i], "within "+p.Within.String())
		}
	}
	for _, r := range p.rules() {
		r.keep(times, order, zone, why)
	}
	return why
}

// keep adds to why what the rule keeps.
func (r rule) keep(times []time.Time, order []int, zone *time.Location, why [][]string) {
	before, left := "", r.count
	for n, i := range order {
		if left == 0 {
			return
		}
		period := r.period(times[i].In(zone), i)
		switch {
		case n == 0 || period != before:
			why[i] = append(why[i], r.name)
		case n == len(order)-1:
			why[i] = append(why[i], "oldest "+r.name)
		default:
			continue
		}
		before = period
		if left != Unlimited {
			left--
		}
	}
}
