package patchcmd

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lvmsync/cmd/internal/cli"
	"lvmsync/format"
	"lvmsync/format/archive"
)

// text is a table for each volume, and a line for each thing that is to be known.
func (l listing) text() string {
	var b strings.Builder
	for i, v := range l.Volumes {
		if i > 0 {
			b.WriteString("\n")
		}
		l.volume(&b, v)
	}
	if len(l.Volumes) == 0 {
		b.WriteString("no patches\n")
	} else if len(l.Files) > 0 {
		b.WriteString("\n")
	}
	for _, f := range l.Files {
		text := f.Err.Error()
		if f.Same != nil && f.Status != archive.Copy {
			text += fmt.Sprintf("; the same patch is in %s", l.name(f.Same.Path))
			if l.checked {
				text += ", whole"
			}
		}
		line(&b, string(f.Status), l.name(f.Path), text)
	}
	return b.String()
}

// name is that of a file for people.
func (l listing) name(path string) string {
	if l.folder != "" {
		path = filepath.Base(path)
	}
	return cli.ShellName(path)
}

// line tells of one file.
func line(b *strings.Builder, what, name, text string) {
	fmt.Fprintf(b, "%s: %s: %s\n", what, name, cli.OneLine(text))
}

// volume tells of the patches of a volume. Each has a number, by which those after it name it.
func (l listing) volume(b *strings.Builder, v *archive.Volume) {
	fmt.Fprintf(b, "%s: %s\n", cmp.Or(v.Name, "a volume without a name"), restorable(v))
	all := patchesOf(v)
	number := make(map[*archive.Patch]int)
	for i, p := range all {
		number[p] = i + 1
	}
	rows := [][]string{{"#", "kind", "state", "snapshot", "volume", "changed", "patch", "after",
		"file"}}
	for _, p := range all {
		rows = append(rows, []string{strconv.Itoa(number[p]), string(p.Header.Kind),
			minute(p.Time()), snapshotOf(p), cli.Bytes(p.VolumeSize()), changed(p),
			cli.Bytes(p.Size), after(p, number), l.name(p.Path)})
	}
	table(b, rows, "#", "volume", "changed", "patch", "after")
	l.notes(b, v)
}

// patchesOf are the patches of a volume in the order in which they are told of.
func patchesOf(v *archive.Volume) (all []*archive.Patch) {
	for _, c := range v.Chains {
		all = append(all, c.Patches...)
	}
	return append(all, v.Undo...)
}

// restorable says what can be restored of a volume.
func restorable(v *archive.Volume) string {
	states := v.States()
	doubtful := 0
	for _, p := range states {
		if p.InDoubt() {
			doubtful++
		}
	}
	text := "nothing can be restored from these patches alone"
	switch n := len(states); n {
	case 0:
	case 1:
		text = "1 state can be restored, of " + minute(states[0].Time())
	default:
		text = fmt.Sprintf("%d states can be restored, from %s to %s", n,
			minute(states[0].Time()), minute(states[n-1].Time()))
	}
	if doubtful > 0 {
		text += fmt.Sprintf("; %d in doubt", doubtful)
	}
	return text
}

// minute is a time for people, as exact as backups are told apart.
func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// snapshotOf is the name of the snapshot that the state of a patch is, or of what is known of it.
func snapshotOf(p *archive.Patch) string {
	name := p.Snapshot()
	return name[strings.LastIndexByte(name, '/')+1:]
}

// changed is how much of the volume a patch brings; of a full one what isn't zeros.
func changed(p *archive.Patch) string {
	switch {
	case p.NoEnd:
		return "-"
	case p.Header.Kind == format.Full:
		return cli.Bytes(p.Totals.DataBytes)
	}
	return cli.Bytes(p.Totals.Bytes())
}

// after says which patch one follows.
func after(p *archive.Patch, number map[*archive.Patch]int) string {
	switch {
	case p.Follows != nil && p.Doubt != "":
		return strconv.Itoa(number[p.Follows]) + "?"
	case p.Follows != nil:
		return strconv.Itoa(number[p.Follows])
	case p.Gap != "":
		return "?"
	}
	return "-"
}

// table writes rows in columns, those that are named to the right. One with nothing in it is left
// out, and so are blanks at the end of a line.
func table(b *strings.Builder, rows [][]string, right ...string) {
	width := make([]int, len(rows[0]))
	for i := range rows[0] {
		for _, row := range rows[1:] {
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
		if width[i] > 0 {
			width[i] = max(width[i], len(rows[0][i]))
		}
	}
	var line []byte
	for _, row := range rows {
		line = line[:0]
		for i, cell := range row {
			pad := strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(cell)))
			switch {
			case width[i] == 0:
				continue
			case slices.Contains(right, rows[0][i]):
				line = append(append(line, pad...), cell...)
			default:
				line = append(append(line, cell...), pad...)
			}
			line = append(line, "  "...)
		}
		b.Write(bytes.TrimRight(line, " "))
		b.WriteByte('\n')
	}
}

// notes tells what is to be known of a volume's patches.
func (l listing) notes(b *strings.Builder, v *archive.Volume) {
	gaps := v.Gaps()
	first := make(map[string]*archive.Patch)
	for _, c := range v.Chains {
		if p := c.First(); p.Gap != "" {
			what := "base"
			if slices.Contains(gaps, p) {
				what = "gap"
			}
			line(b, what, l.name(p.Path), p.Gap)
		}
		for _, p := range c.Patches {
			if p.Doubt != "" {
				line(b, "doubt", l.name(p.Path), fmt.Sprintf("after %s: %s",
					l.name(p.Follows.Path), p.Doubt))
			}
			if other := first[p.State()]; other != nil {
				line(b, "same", l.name(p.Path), "it leads to the same state as "+
					l.name(other.Path))
			} else {
				first[p.State()] = p
			}
		}
	}
	for _, p := range v.Undo {
		if p.NoEnd {
			line(b, "undo", l.name(p.Path), "its end was never written; "+
				"lvmsync-apply takes it as far as it goes")
		}
	}
}
