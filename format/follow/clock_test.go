package follow

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
)

// Snapshots that were dumped later than they were made, and a patch back from the newer
// to the older one: by their names, whatever was made when.
func TestClocksDontMatter(t *testing.T) {
	for name, pair := range map[string][2]format.Header{
		"first dumped late": {ordered(1, 20, kind(format.Full), upTo("S", 8)),
			ordered(2, 11, since("S", 8), upTo("T", 10))},
		"back": {ordered(1, 9, since("S", 6), upTo("T", 8)),
			ordered(2, 11, since("T", 8), upTo("S", 6))},
		"back, and the clock": {ordered(1, 5, since("S", 6), upTo("T", 8)),
			ordered(2, 4, since("T", 8), upTo("S", 6))},
		"exactly to where it is": {ordered(1, 9, upTo("T", 8)),
			ordered(2, 11, since("S", 7), upTo("T", 8), exactly)},
	} {
		t.Run(name, func(t *testing.T) {
			if v := Check(pair[0], pair[1]); v != (Verdict{}) {
				t.Errorf("%+v", v)
			}
		})
	}
}

// How the clock was set is told.
func TestSkewTold(t *testing.T) {
	tests := map[string]struct {
		by   int64 // seconds that the clock went further than the time did
		want string
	}{
		"back":       {-3600, "set back by 1h0m0s"},
		"forward":    {90, "set forward by 1m30s"},
		"leap":       {1, ""},
		"leap, back": {-1, ""},
		"far ahead":  {1 << 31, "set forward by "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := ordered(1, 9, upFor(3, "boot")), ordered(2, 9, upFor(5, "boot"))
			b.Created = b.Created.Add(2*time.Hour + time.Duration(tt.by)*time.Second)
			for _, got := range []string{skewOf(a, b), skewOf(b, a)} {
				if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
			}
		})
	}
	hostile := ordered(1, 9, upFor(1, "boot"))
	hostile.Source.Uptime = math.MaxInt64
	if uptime(hostile) != 0 {
		t.Error("an uptime of 300 million years is taken")
	}
}

func TestContradict(t *testing.T) {
	const day = 24 * time.Hour
	dump := func(host, boot string, at, up time.Duration) format.Header {
		h := format.Header{ID: uuid.New(), Host: host,
			Created: time.Date(2026, 5, 6, 0, 0, 0, 0, time.UTC).Add(at)}
		h.Source.BootID, h.Source.Uptime = boot, up.Milliseconds()
		return h
	}
	for name, tt := range map[string]struct {
		a, b format.Header
		want bool
	}{
		"in order":                 {dump("h", "x", day, day), dump("h", "x", 2*day, 2*day), false},
		"set back":                 {dump("h", "x", 2*day, day), dump("h", "x", day, 2*day), true},
		"one boot after the other": {dump("h", "x", day, day), dump("h", "y", 3*day, day), false},
		"in the midst of another":  {dump("h", "x", 2*day, day), dump("h", "y", 3*day, 2*day), true},
		"of two machines":          {dump("h", "x", 2*day, day), dump("i", "y", 3*day, 2*day), false},
		"no machine named":         {dump("", "x", 2*day, day), dump("", "x", day, 2*day), false},
		"no time since a boot":     {dump("h", "x", 2*day, 0), dump("h", "x", day, 0), false},
		"no date":                  {format.Header{Host: "h"}, dump("h", "x", day, day), false},
	} {
		t.Run(name, func(t *testing.T) {
			if Contradict(tt.a, tt.b) != tt.want || Contradict(tt.b, tt.a) != tt.want {
				t.Errorf("want %v", tt.want)
			}
		})
	}
}
