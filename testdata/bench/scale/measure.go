package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A table has a command's cost at each size of the volume.
type table struct {
	name string
	rows []row
}

type row struct {
	subject
	changed    int64 // chunks
	runs       int
	empty, all cost // with nothing changed, and with all that has changed
}

type cost struct {
	wall, cpu float64 // seconds
	peak      float64 // MiB
}

// A subject is a volume, of which the chunks that have changed can be counted.
type subject struct {
	size, chunk int64
	file        string // that the volume is in, if any
}

// add measures a volume: the command when nothing has changed, and when it has.
func (t *table) add(s subject, empty, all []string) error {
	if t == nil {
		return nil
	}
	r := row{subject: s, changed: changes(s.size, s.chunk)}
	var err error
	if r.empty, _, err = s.measure(empty); err == nil {
		r.all, r.runs, err = s.measure(all)
	}
	if err != nil {
		return err
	}
	t.rows = append(t.rows, r)
	log.Printf("%s: %d GiB: start-up %.3f s, %.3f s CPU, %.0f MiB; all %.3f s, %.3f s CPU, "+
		"%.0f MiB; %.0f MiB/s", t.name, s.size/gib, r.empty.wall, r.empty.cpu, r.empty.peak,
		r.all.wall, r.all.cpu, r.all.peak, float64(r.changed*s.chunk>>20)/r.all.wall)
	return nil
}

// measure runs a command until that has taken two seconds or it has been run 25 times, each
// time with the volume out of cache, and gives the medians; of the memory, the most.
func (s subject) measure(command []string) (c cost, runs int, err error) {
	var wall, cpu []float64
	for total := 0.0; runs < 25 && (runs == 0 || total < 2); runs++ {
		err := s.evict()
		if err != nil {
			return cost{}, 0, err
		}
		one, err := timed(command)
		if err != nil {
			return cost{}, 0, err
		}
		wall, cpu = append(wall, one.wall), append(cpu, one.cpu)
		c.peak = max(c.peak, one.peak)
		total += one.wall
	}
	slices.Sort(wall)
	slices.Sort(cpu)
	c.wall, c.cpu = wall[runs/2], cpu[runs/2]
	return c, runs, nil
}

// evict takes the volume out of the page cache: the large ones don't stay there either.
func (s subject) evict() error {
	f, err := os.Open(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it's made up
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// timed runs a command below time(1): what is started from here directly begins with the
// memory that this process has.
func timed(command []string) (cost, error) {
	peak, err := os.CreateTemp("", "")
	if err != nil {
		return cost{}, err
	}
	defer os.Remove(peak.Name())
	defer peak.Close()
	cmd := exec.Command("time", append([]string{"-f", "%M", "-o", peak.Name()}, command...)...)
	var messages strings.Builder
	cmd.Stderr = &messages
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return cost{}, fmt.Errorf("%q: %w: %s", command, err, messages.String())
	}
	c := cost{wall: time.Since(start).Seconds()}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage) // of time and what it has waited for
	c.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	var text int64
	if _, err := fmt.Fscan(peak, &text); err != nil {
		return cost{}, err
	}
	c.peak = float64(text) / 1024
	return c, nil
}

func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// print prints what a changed byte costs, as ratios to the first row; with the start-up
// subtracted, to the second, for the first has not much else.
func (t *table) print() {
	if len(t.rows) == 0 {
		return
	}
	first, second := t.rows[0], t.rows[min(1, len(t.rows)-1)]
	fmt.Printf("\n### %s\n\n| volume | changed chunks | runs | time | CPU | time less start-up | "+
		"CPU less start-up | peak memory |\n", t.name)
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, r := range t.rows {
		per := func(mine, other float64, base row) string {
			return fmt.Sprintf("%.2f", mine/other*float64(base.changed)/float64(r.changed))
		}
		fmt.Printf("| %d GiB | %d | %d | %s | %s | %s | %s | %.0f MiB |\n", r.size/gib, r.changed,
			r.runs, per(r.all.wall, first.all.wall, first), per(r.all.cpu, first.all.cpu, first),
			per(r.all.wall-r.empty.wall, second.all.wall-second.empty.wall, second),
			per(r.all.cpu-r.empty.cpu, second.all.cpu-second.empty.cpu, second), r.all.peak)
	}
}
