package mount

import (
	"strings"

	"lvmsync/cmd/internal/statename"
	"lvmsync/format/archive"
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

// fileNames are the names of the files for the states of a volume.
func fileNames(states []State) []string {
	patches := make([]*archive.Patch, len(states))
	for i, s := range states {
		patches[i] = s.Patch
	}
	return statename.Files(patches)
}

// folderNames are those of volumes.
func folderNames(volumes []Volume) []string {
	names := make([]string, len(volumes))
	taken := make(map[string]bool)
	for i, v := range volumes {
		name := statename.Plain(v.Name)
		if name == "" || taken[name] { // by one of another machine
			name = strings.TrimPrefix(name+"_", "_") + v.States[0].Patch.First().Header.ID.String()
		}
		names[i], taken[name] = name, true
	}
	return statename.Distinct(names)
}
