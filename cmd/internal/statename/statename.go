// Package statename names states of archives as files, as "lvmsync-patch mount" shows them.
package statename

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/follow"
)

// maxPart is how long a name of a volume or snapshot may be in the name of a file, which has 255
// characters at most, with an id behind.
const maxPart = 80

// How exact times in names are; they are in UTC, so that a name is the same everywhere.
const (
	seconds      = "2006-01-02T15-04-05Z"
	milliseconds = "2006-01-02T15-04-05.000Z"
)

// suffix is that of the files.
const suffix = ".img"

// Files are the names of the files for the states of a volume, which patches lead to, by when they
// were and what they are of. Those of the same second and snapshot are told apart by parts of it,
// or else by the ids of their patches.
func Files(patches []*archive.Patch) []string {
	names, count := make([]string, len(patches)), make(map[string]int)
	name := func(again func(i int) string) {
		before := maps.Clone(count)
		clear(count)
		for i := range patches {
			if names[i] == "" || before[names[i]] > 1 {
				names[i] = again(i)
			}
			count[names[i]]++
		}
	}
	name(func(i int) string { return fileName(patches[i], seconds) })
	name(func(i int) string { return fileName(patches[i], milliseconds) })
	name(func(i int) string { return names[i] + "_" + patches[i].Header.ID.String() })
	names = Distinct(names)
	for i := range names {
		names[i] += suffix
	}
	return names
}

// Distinct tells names apart, by a number, that are still the same: who makes up headers can have
// the name of a volume end like what was put behind that of another.
func Distinct(names []string) []string {
	taken := make(map[string]bool)
	for i, name := range names {
		for n := 2; taken[names[i]]; n++ {
			names[i] = fmt.Sprintf("%s_%d", name, n)
		}
		taken[names[i]] = true
	}
	return names
}

func fileName(p *archive.Patch, layout string) string {
	when := "undated"
	if t := p.Time(); !t.IsZero() {
		when = t.UTC().Format(layout)
	}
	volume := follow.VolumeName(p.Header)
	if p.Header.Source.LV == "" { // it is a path
		volume = strings.TrimSuffix(path.Base(volume), suffix)
	}
	parts := []string{when, Plain(volume)}
	if vg, snapshot, ok := strings.Cut(p.Snapshot(), "/"); ok && vg != "" { // else it's its UUID
		parts = append(parts, Plain(snapshot))
	}
	if p.Header.Kind == format.Undo {
		parts = append(parts, "undo")
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "_")
}

// Plain makes a name one that a shell takes for a word, and no folder has a meaning of its own for.
func Plain(name string) string {
	name = strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9',
			strings.ContainsRune("._+-", r):
			return r
		}
		return '-'
	}, name), "-.")
	return name[max(0, len(name)-maxPart):]
}

// Find finds the patches that lead to a state whose file has that name, or path. One of the same
// second as others has the name, too, that it would have without them, for which of them are shown
// depends on what can be restored.
func Find(a *archive.Archive, name string) (found []*archive.Patch) {
	name, ok := strings.CutSuffix(path.Base(name), suffix)
	if !ok {
		return nil
	}
	for _, v := range a.Volumes {
		for _, c := range v.Chains {
			for _, p := range c.Patches {
				if isName(p, name) {
					found = append(found, p)
				}
			}
		}
	}
	return found
}

func isName(p *archive.Patch, name string) bool {
	for _, layout := range []string{seconds, milliseconds} {
		own := fileName(p, layout)
		if name == own || name == own+"_"+p.Header.ID.String() {
			return true
		}
	}
	return false
}
