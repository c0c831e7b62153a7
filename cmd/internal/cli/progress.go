package cli

import (
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	redrawEvery = 100 * time.Millisecond
	// rateMemory is the time over which the rate is averaged, more or less.
	rateMemory = 5 * time.Second
	barWidth   = 20
)

// A Bar shows progress with rate and remaining time in one line on a terminal. A nil Bar shows
// nothing.
type Bar struct {
	inv   *Invocation
	meter meter
	drawn int       // width of what is on the screen
	last  time.Time // when it was drawn
}

// NewBar returns a bar, or nil where nobody would look at one.
func (inv *Invocation) NewBar() *Bar {
	if inv.quiet || inv.json || !term.IsTerminal(int(inv.std.Err.Fd())) {
		return nil
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.bar = &Bar{inv: inv}
	return inv.bar
}

// Set shows that done of total bytes are done in a stage. A total that is not above 0 is unknown.
func (b *Bar) Set(stage string, done, total int64) {
	if b == nil {
		return
	}
	b.inv.mu.Lock()
	defer b.inv.mu.Unlock()
	now := time.Now()
	if b.meter.stage != stage {
		b.meter = meter{stage: stage, begin: now, updated: now}
	} else if now.Sub(b.last) < redrawEvery {
		return
	}
	b.meter.update(now, done, total)
	b.draw()
	b.last = now
}

// Clear takes the bar off the screen, for something else to be printed. Set brings it back.
func (b *Bar) Clear() {
	if b != nil {
		b.inv.mu.Lock()
		defer b.inv.mu.Unlock()
		b.clear()
	}
}

func (b *Bar) clear() {
	if b != nil && b.drawn > 0 {
		fmt.Fprintf(b.inv.std.Err, "\r%*s\r", b.drawn, "")
		b.drawn = 0
	}
}

// draw writes the line over the one before, in one piece. All of it is ASCII, but for the stage,
// which is ours.
func (b *Bar) draw() {
	width, _, err := term.GetSize(int(b.inv.std.Err.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	line := b.meter.line(width - 1) // in the last column, some terminals wrap
	fmt.Fprintf(b.inv.std.Err, "\r%-*s\r", min(b.drawn, width-1), line)
	b.drawn = len(line)
}

// A meter knows how far a stage has got, and how fast.
type meter struct {
	stage       string
	begin       time.Time
	updated     time.Time
	done, total int64
	rate        float64 // bytes a second, of late
}

// update tells the meter that done of total bytes are done now.
func (m *meter) update(now time.Time, done, total int64) {
	if d := now.Sub(m.updated).Seconds(); d > 0 {
		// An average over all of a short time, then one that forgets.
		weight := max(1-math.Exp(-d/rateMemory.Seconds()), d/now.Sub(m.begin).Seconds())
		m.rate += (float64(done-m.done)/d - m.rate) * weight
	}
	m.updated, m.done, m.total = now, done, total
}

// line is what the bar shows, at most width characters.
func (m *meter) line(width int) string {
	numbers := Bytes(m.done)
	if m.total > 0 {
		numbers += " of " + Bytes(m.total)
	}
	if m.rate >= 1 {
		numbers += ", " + Bytes(int64(m.rate)) + "/s"
		if left := float64(m.total-m.done) / m.rate; left > 0 && left < 1e6 {
			numbers += ", " + (time.Duration(math.Ceil(left)) * time.Second).String() + " left"
		}
	}
	line := m.stage + ": " + numbers
	if m.total > 0 {
		part := min(float64(m.done)/float64(m.total), 1)
		percent := fmt.Sprintf("%s: %3d%% ", m.stage, int(100*part))
		filled := int(barWidth * part)
		graph := "[" + strings.Repeat("#", filled) + strings.Repeat(" ", barWidth-filled) + "] "
		if line = percent + graph + numbers; len(line) > width {
			line = percent + numbers
		}
	}
	return line[:min(len(line), max(width, 0))]
}
