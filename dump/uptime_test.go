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
