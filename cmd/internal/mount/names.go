package mount

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

// A State is one to show.
type State struct {
	Patch *archive.Patch // that leads to it
	Base  bool           // its chain lies over Options.Base
}

// A Volume is what belongs together, for a folder of its own where there are several.
type Volume struct {
	Name   string
	States []State
}

// maxPart is how long a name of a volume or snapshot may be in the name of a file, which has 255
// characters at most, with an id behind.
const maxPart = 80

// suffix is that of the files.
const suffix = ".img"

// fileNames are the names of the files for the states of a volume, by when they were and what they
// are of. Those of the same second and snapshot are told apart by parts of it, or else by the ids of
// their patches.
func fileNames(states []State) []string {
	names, count := make([]string, len(states)), make(map[string]int)
	name := func(again func(i int) string) {
		before := maps.Clone(count)
		clear(count)
		for i := range states {
			if names[i] == "" || before[names[i]] > 1 {
				names[i] = again(i)
			}
			count[names[i]]++
		}
	}
	name(func(i int) string { return fileName(states[i].Patch, "2006-01-02T15-04-05Z") })
	name(func(i int) string { return fileName(states[i].Patch, "2006-01-02T15-04-05.000Z") })
	name(func(i int) string { return names[i] + "_" + states[i].Patch.Header.ID.String() })
	names = distinct(names)
	for i := range names {
		names[i] += suffix
	}
	return names
}

// distinct tells names apart, by a number, that are still the same: who makes up headers can have
// the name of a volume end like what was put behind that of another.
func distinct(names []string) []string {
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
	parts := []string{when, plain(volume)}
	if vg, snapshot, ok := strings.Cut(p.Snapshot(), "/"); ok && vg != "" { // else it's its UUID
		parts = append(parts, plain(snapshot))
	}
	if p.Header.Kind == format.Undo {
		parts = append(parts, "undo")
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "_")
}

// folderNames are those of volumes.
func folderNames(volumes []Volume) []string {
	names := make([]string, len(volumes))
	taken := make(map[string]bool)
	for i, v := range volumes {
		name := plain(v.Name)
		if name == "" || taken[name] { // by one of another machine
			name = strings.TrimPrefix(name+"_", "_") + v.States[0].Patch.First().Header.ID.String()
		}
		names[i], taken[name] = name, true
	}
	return distinct(names)
}

// plain makes a name one that a shell takes for a word, and no folder has a meaning of its own for.
func plain(name string) string {
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
