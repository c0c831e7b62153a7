package patchcmd

import (
	"fmt"
	"path/filepath"
	"strings"

	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/prune"
	"lvmsync/format/archive"
	"lvmsync/format/archive/retention"
)

// A teller tells what becomes of a folder.
type teller struct {
	inv       *cli.Invocation
	plan      retention.Plan
	leftovers []string // of killed runs
	err       error    // of standard output
}

// say writes a line to standard output.
func (t *teller) say(what, name, text string) {
	if t.inv.Bool("quiet") || t.inv.Bool("json") || t.err != nil {
		return
	}
	_, t.err = fmt.Fprintf(t.inv.Out(), "%s: %s\n", what, cli.OneLine(name+text))
}

// plans tells what is kept and what is left alone.
func (t *teller) plans() {
	for _, v := range t.plan.Volumes {
		for _, k := range v.Kept {
			t.say("keep", fileName(k.Path), fmt.Sprintf(": %s, %s",
				k.Time().Local().Format("2006-01-02 15:04:05"), strings.Join(k.Why, ", ")))
		}
		t.left(v.Left)
	}
	t.left(t.plan.Left)
	for _, path := range t.leftovers {
		t.say("remove", fileName(path), ": left by a run that was killed")
	}
}

func (t *teller) left(left []retention.Left) {
	for _, l := range left {
		t.say("left alone", fileName(l.Path), ": "+l.Why)
	}
}

func fileName(path string) string { return cli.ShellName(filepath.Base(path)) }

// step tells of a step; wrote is about what is written.
func (t *teller) step(s retention.Step, wrote string) {
	if n := len(s.Merge); n > 0 {
		var names []string
		for _, p := range s.Merge[:n-1] {
			names = append(names, fileName(p.Path))
		}
		t.say("merge", strings.Join(names, " + "), fmt.Sprintf(" into %s: %s of patches, %s",
			fileName(s.Merge[n-1].Path), cli.Bytes(prune.Bound(s.Merge)), wrote))
	}
	for _, p := range s.Copies {
		t.say("remove", fileName(p.Path), ": "+cli.Bytes(p.Size)+", a copy")
	}
	for _, p := range s.Remove {
		t.say("remove", fileName(p.Path), ": "+cli.Bytes(p.Size))
	}
}

// would tells what would be done, and returns all of it in a line and in numbers.
func (t *teller) would() (string, prune.Done) {
	var d prune.Done
	size := make(map[string]int64) // at most, of what was merged
	sizeOf := func(p *archive.Patch) int64 {
		if n, ok := size[p.Path]; ok {
			return n
		}
		return p.Size
	}
	for _, v := range t.plan.Volumes {
		for _, s := range v.Steps {
			written := int64(0)
			for _, p := range s.Merge {
				written += sizeOf(p)
			}
			t.step(s, "at most "+cli.Bytes(written)+" to write")
			for _, p := range s.Copies {
				d.Won += p.Size
			}
			for _, p := range s.Remove {
				d.Won += sizeOf(p)
			}
			if n := len(s.Merge); n > 0 {
				last := s.Merge[n-1]
				d.Won += sizeOf(last) - written
				size[last.Path] = written
				d.Made++
			}
			d.Merged, d.Removed = d.Merged+len(s.Merge), d.Removed+len(s.Copies)+len(s.Remove)
			d.Written += written
			d.Read += 3 * written // verified, merged, read back
		}
	}
	return fmt.Sprintf("%d patches would be merged to %d, %d files removed; at most %s read "+
		"and %s written, at least %s won", d.Merged, d.Made, d.Removed+len(t.leftovers),
		cli.Bytes(d.Read), cli.Bytes(d.Written), signed(d.Won)), d
}

// signed is a number of bytes that may be less than 0.
func signed(n int64) string {
	if n < 0 {
		return "-" + cli.Bytes(-n)
	}
	return cli.Bytes(n)
}
