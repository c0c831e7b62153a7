package archive

import (
	"fmt"
	"time"
)

func clock(t time.Time) string {
	if t.IsZero() {
		return "nobody knows when"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// times are how people write them, and how long each of them lasts: a day is one whose time of day
// is not given, for one of 24 or 25 hours.
var times = []struct {
	layout string
	lasts  time.Duration
}{
	{"2006-01-02 15:04:05", time.Second},
	{"2006-01-02T15:04:05", time.Second},
	{time.RFC3339, time.Second},
	{"2006-01-02 15:04:05Z07:00", time.Second},
	{"2006-01-02 15:04", time.Minute},
	{"2006-01-02T15:04", time.Minute},
	{"2006-01-02", 0},
}

// ParseTime reads a time as people write it, for Choice.At: 2026-11-20, 2026-11-20 03:00, with
// seconds or as in RFC 3339; in the zone of loc unless it has its own. As no more is said, it is
// the end of that day, minute or second.
func ParseTime(text string, loc *time.Location) (time.Time, error) {
	for _, x := range times {
		t, err := time.ParseInLocation(x.layout, text, loc)
		switch {
		case err != nil:
			continue
		case t.Nanosecond() > 0: // nothing can be more exact
			return t, nil
		case x.lasts == 0:
			return t.AddDate(0, 0, 1).Add(-1), nil
		}
		return t.Add(x.lasts - 1), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: expected YYYY-MM-DD, YYYY-MM-DD HH:MM, "+
		"YYYY-MM-DD HH:MM:SS or YYYY-MM-DDTHH:MM:SS+HH:MM", text)
}
