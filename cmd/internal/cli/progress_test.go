package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestMeter(t *testing.T) {
	const mib = 1 << 20
	begin := time.Unix(1e9, 0)
	type step struct {
		after time.Duration // since the beginning
		done  int64
	}
	tests := map[string]struct {
		steps []step
		total int64
		width int
		want  string
	}{
		"beginning": {[]step{{0, 0}}, 100 * mib, 99,
			"dumping:   0% [                    ] 0 B of 100 MiB"},
		"half": {[]step{{2 * time.Second, 50 * mib}}, 100 * mib, 99,
			"dumping:  50% [##########          ] 50 MiB of 100 MiB, 25 MiB/s, 2s left"},
		"end": {[]step{{4 * time.Second, 100 * mib}}, 100 * mib, 99,
			"dumping: 100% [####################] 100 MiB of 100 MiB, 25 MiB/s"},
		"past the end": {[]step{{4 * time.Second, 200 * mib}}, 100 * mib, 99,
			"dumping: 100% [####################] 200 MiB of 100 MiB, 50 MiB/s"},
		"unknown total": {[]step{{2 * time.Second, 50 * mib}}, -1, 99, "dumping: 50 MiB, 25 MiB/s"},
		"nothing to do": {[]step{{0, 0}}, 0, 99, "dumping: 0 B"},
		"steady rate": {[]step{{time.Second, mib}, {2 * time.Second, 2 * mib},
			{60 * time.Second, 60 * mib}}, -1, 99, "dumping: 60 MiB, 1.0 MiB/s"},
		"stalled": {[]step{{time.Second, mib}, {99 * time.Second, mib}}, 2 * mib, 99,
			"dumping:  50% [##########          ] 1.0 MiB of 2.0 MiB"},
		"days": {[]step{{time.Second, mib}}, 300000 * mib, 99,
			"dumping:   0% [                    ] 1.0 MiB of 293 GiB, 1.0 MiB/s, 83h19m59s left"},
		"longer still": {[]step{{time.Second, mib}}, 1 << 62, 99,
			"dumping:   0% [                    ] 1.0 MiB of 4.0 EiB, 1.0 MiB/s"},
		"narrow": {[]step{{2 * time.Second, 50 * mib}}, 100 * mib, 60,
			"dumping:  50% 50 MiB of 100 MiB, 25 MiB/s, 2s left"},
		"very narrow": {[]step{{2 * time.Second, 50 * mib}}, 100 * mib, 12, "dumping:  50"},
		"no width":    {[]step{{2 * time.Second, 50 * mib}}, 100 * mib, -1, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := meter{stage: "dumping", begin: begin, updated: begin}
			for _, s := range test.steps {
				m.update(begin.Add(s.after), s.done, test.total)
			}
			if got := m.line(test.width); got != test.want {
				t.Errorf("got\n%q, want\n%q", got, test.want)
			}
		})
	}
}

// openTerminal returns both sides of a terminal, 80 columns wide.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY,
		0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ,
		&unix.Winsize{Row: 25, Col: 80}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// lines is what a terminal shows in the end, and each state of its lines.
func lines(text string) (screen, states []string) {
	var line []byte
	at := 0
	for _, c := range []byte(text) {
		switch c {
		case '\r':
			states = append(states, strings.TrimRight(string(line), " "))
			at = 0
		case '\n':
			screen = append(screen, strings.TrimRight(string(line), " "))
			line = nil
		default:
			if at == len(line) {
				line = append(line, 0)
			}
			line[at] = c
			at++
		}
	}
	return append(screen, strings.TrimRight(string(line), " ")), states
}

// runOnTerminal runs the test command with a terminal as standard error, on a clock that only
// sleeping advances, and returns what was written to it.
func runOnTerminal(t *testing.T, run func(context.Context, *Invocation) error,
	args ...string) string {
	t.Helper()
	master, slave := openTerminal(t)
	c := testCommand(nil)
	synctest.Test(t, func(t *testing.T) {
		inv := newInvocation(t.Context(), c.Name, Streams{os.Stdin, os.Stdout, slave})
		c.Run = run
		inv.finish(c.run(t.Context(), inv, args), c)
	})
	slave.Close()
	text, _ := io.ReadAll(master) // its end is an error
	return string(text)
}

func TestBarOnTerminal(t *testing.T) {
	const mib = 1 << 20
	text := runOnTerminal(t, func(_ context.Context, inv *Invocation) error {
		bar := inv.NewBar()
		for done := int64(0); done <= 100; done++ {
			bar.Set("dumping", done*mib, 100*mib)
			if done == 50 {
				inv.Warn("half-way")
			}
			time.Sleep(20 * time.Millisecond)
		}
		bar.Set("waiting", 0, -1)
		inv.Close("all done", nil)
		return nil
	})
	screen, states := lines(text)
	want := "lvmsync-test: warning: half-way|lvmsync-test: all done|"
	if got := strings.Join(screen, "|"); got != want {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
	for _, want := range []string{
		"dumping:   0% [                    ] 0 B of 100 MiB",
		"dumping:  50% [##########          ] 50 MiB of 100 MiB, 50 MiB/s, 1s left",
		"waiting: 0 B",
	} {
		n := 0
		for _, s := range states {
			if s == want {
				n++
			}
		}
		if n == 0 {
			t.Errorf("the screen never showed %q, but %q", want, states)
		}
	}
	if n := strings.Count(text, "% ["); n < 15 || n > 25 {
		t.Errorf("drawn %d times in 2 s", n)
	}
}

// A bar that nothing is printed after goes, too.
func TestBarGoes(t *testing.T) {
	text := runOnTerminal(t, func(_ context.Context, inv *Invocation) error {
		inv.NewBar().Set("dumping", 1, 2)
		return nil
	})
	if screen, states := lines(text); strings.Join(screen, "|") != "" || len(states) < 2 {
		t.Errorf("the screen shows %q after %q", screen, states)
	}
}

func TestNoBar(t *testing.T) {
	run := func(_ context.Context, inv *Invocation) error {
		bar := inv.NewBar()
		bar.Set("dumping", 1, 2)
		bar.Clear()
		return nil
	}
	for _, option := range []string{"-q", "--quiet"} {
		if got := runOnTerminal(t, run, option); got != "" {
			t.Errorf("%s: %q on the terminal", option, got)
		}
	}
	if got := runOnTerminal(t, run, "--json"); strings.Contains(got, "dumping") ||
		strings.Count(got, "\n") != 1 {
		t.Errorf("--json: %q on the terminal", got)
	}
	if got := runCommand(t, run); got.err != "" {
		t.Errorf("%q in a file", got.err)
	}
}
