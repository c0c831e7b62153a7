package follow

import (
	"fmt"
	"time"
)

// outOfDate says that one moment is after another.
func outOfDate(reached, last moment) string {
	switch {
	case last.snapshot != "":
		return "it leads to a snapshot that is older than where the one before leads"
	case reached.snapshot == "" && sameBoot(reached.dump, last.dump): // whatever the clock said
		return fmt.Sprintf("it is older, made when the machine had been up for %v, "+
			"and the one before after %v", uptime(last.dump), uptime(reached.dump))
	}
	is, not := toldApart(last.at, reached.at)
	return "it is older, made " + is + " and not after " + not
}

// indistinct says why the order of two moments is not known.
func indistinct(x, y moment) string {
	if !x.dated() || !y.dated() {
		return "when they were made is not known"
	}
	return "both were made within the second of " + clock(x.at)
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "nobody knows when"
	}
	return t.Local().Format(toTheSecond)
}

const toTheSecond = "2006-01-02 15:04:05"

// toldApart gives two times as exactly as it takes to tell them apart, and which comes first.
func toldApart(x, y time.Time) (string, string) {
	x, y = x.Local(), y.Local()
	zone := ""
	if x.Format("-0700") != y.Format("-0700") {
		// One is of the summer: what the clock showed says little.
		zone = " -0700"
	}
	for _, fraction := range []string{"", ".000", ".000000"} {
		layout := toTheSecond + fraction + zone
		if a, b := x.Format(layout), y.Format(layout); a != b {
			return a, b
		}
	}
	const layout = toTheSecond + ".000000000"
	return x.Format(layout + zone), y.Format(layout + zone)
}
