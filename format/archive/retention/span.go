package retention

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxSpan bounds each number of a [Span]: a million hours are 114 years.
const maxSpan = 1_000_000

// A Span is a time as a calendar has it: a month may have 28 days or 31, a day 23 hours or 25.
type Span struct{ Years, Months, Days, Hours int }

// ParseSpan reads a span such as 30d or 2y5m7d3h: numbers with units, each once at most, in any
// order.
func ParseSpan(text string) (Span, error) {
	var s Span
	wrong := fmt.Errorf("%q is not a time such as 30d or 2y5m7d3h (years, months, days, hours)",
		text)
	to := map[byte]*int{'y': &s.Years, 'm': &s.Months, 'd': &s.Days, 'h': &s.Hours}
	for rest := text; rest != ""; {
		at := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if at <= 0 || to[rest[at]] == nil {
			return Span{}, wrong
		}
		n, err := strconv.Atoi(rest[:at])
		if err != nil || n > maxSpan {
			return Span{}, wrong
		}
		*to[rest[at]] = n
		delete(to, rest[at])
		rest = rest[at+1:]
	}
	if s.IsZero() {
		return Span{}, wrong
	}
	return s, nil
}

// IsZero tells whether it is no time.
func (s Span) IsZero() bool { return s == Span{} }

// Before is the time that is so long before t, by the calendar of t's zone.
func (s Span) Before(t time.Time) time.Time {
	return t.AddDate(-s.Years, -s.Months, -s.Days).Add(-time.Duration(s.Hours) * time.Hour)
}

// String is the span as [ParseSpan] reads it.
func (s Span) String() string {
	text := ""
	for _, part := range []struct {
		n    int
		unit string
	}{{s.Years, "y"}, {s.Months, "m"}, {s.Days, "d"}, {s.Hours, "h"}} {
		if part.n != 0 {
			text += strconv.Itoa(part.n) + part.unit
		}
	}
	return text
}
