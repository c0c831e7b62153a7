package follow

import (
	"testing"
	"time"
	_ "time/tzdata" // for a machine that has none
)

// Two times that are told can be told apart, and the later one looks later.
func TestToldApart(t *testing.T) {
	zone := time.Local
	defer func() { time.Local = zone }()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	time.Local = berlin
	at := time.Date(2026, 5, 6, 16, 34, 31, 0, berlin)
	// 2:50 in summer time; ten minutes later it's 2:00
	autumn := time.Date(2026, 10, 25, 0, 50, 0, 0, time.UTC)
	for name, tt := range map[string]struct{ x, y, a, b string }{
		"seconds": {at.Format(time.RFC3339Nano), at.Add(time.Second).Format(time.RFC3339Nano),
			"2026-05-06 16:34:31", "2026-05-06 16:34:32"},
		"milliseconds": {at.Format(time.RFC3339Nano),
			at.Add(40 * time.Millisecond).Format(time.RFC3339Nano), "2026-05-06 16:34:31.000",
			"2026-05-06 16:34:31.040"},
		"nanoseconds": {at.Format(time.RFC3339Nano), at.Add(1).Format(time.RFC3339Nano),
			"2026-05-06 16:34:31.000000000", "2026-05-06 16:34:31.000000001"},
		"end of summer": {autumn.Format(time.RFC3339Nano),
			autumn.Add(20 * time.Minute).Format(time.RFC3339Nano), "2026-10-25 02:50:00 +0200",
			"2026-10-25 02:10:00 +0100"},
	} {
		t.Run(name, func(t *testing.T) {
			x, _ := time.Parse(time.RFC3339Nano, tt.x)
			y, _ := time.Parse(time.RFC3339Nano, tt.y)
			if a, b := toldApart(x, y); a != tt.a || b != tt.b {
				t.Errorf("%q and %q", a, b)
			}
		})
	}
}

// Of two dumps of one boot it is told how long the machine had been up, which decided,
// not what a clock said that was set.
func TestOlderByUptime(t *testing.T) {
	a, b := ordered(1, 9, since("S", 6), upFor(5, "boot")),
		ordered(2, 11, since("S", 6), upFor(4, "boot"))
	const want = "it is older, made when the machine had been up for 4h0m0s, " +
		"and the one before after 5h0m0s"
	if v := Check(a, b); v.Reason != want {
		t.Errorf("%q", v.Reason)
	}
	if v := Check(ordered(1, 9, halfPast), ordered(2, 9)); v.Reason !=
		"it is older, made "+clock(on(9))+".000 and not after "+clock(on(9))+".500" {
		t.Errorf("%q", v.Reason)
	}
}
