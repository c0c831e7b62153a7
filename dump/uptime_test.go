package dump

import (
	"testing"
	"time"
)

// Both times go on, and that since the boot is there.
func TestNow(t *testing.T) {
	clock, uptime := now()
	if uptime <= 0 || clock.Location() != time.UTC || clock != clock.Truncate(time.Millisecond) {
		t.Errorf("%v, %d ms", clock, uptime)
	}
	later, more := now()
	for more == uptime { // until a millisecond has passed
		later, more = now()
	}
	if more < uptime || later.Before(clock) {
		t.Errorf("%v and %d ms, then %v and %d ms", clock, uptime, later, more)
	}
}

// A dump that began some time ago is dated to that, by the clock as it is now.
func TestBegun(t *testing.T) {
	const slack = time.Minute // for a machine that has much to do
	for _, ago := range []time.Duration{0, 24 * time.Hour} {
		clock, uptime := now()
		at, since := begun(uptime - ago.Milliseconds())
		if off := clock.Add(-ago).Sub(at).Abs(); since != uptime-ago.Milliseconds() || off > slack {
			t.Errorf("%v ago: it is off by %v, at an uptime of %d and not %d",
				ago, off, since, uptime)
		}
	}
}
