package patchcmd

import (
	"time"

	"lvmsync/cmd/internal/prune"
	"lvmsync/format/archive"
	"lvmsync/format/archive/retention"
)

// pruneSummary is what --json prints. Of a dry run, bytes are the most, of what is won the
// least.
type pruneSummary struct {
	DryRun  bool          `json:"dry_run"`
	Volumes []prunedGroup `json:"volumes"`
	Left    []leftObject  `json:"left_alone"`
	Tidied  []string      `json:"leftovers"`
	Merged  int           `json:"merged_patches"`
	Made    int           `json:"merged_to"`
	Removed int           `json:"removed_files"`
	Read    int64         `json:"read_bytes"`
	Written int64         `json:"written_bytes"`
	Won     int64         `json:"won_bytes"`
}

type prunedGroup struct {
	Volume string       `json:"volume"`
	Kept   []keptObject `json:"kept"`
	Steps  []stepObject `json:"steps"`
	Left   []leftObject `json:"left_alone"`
}

type keptObject struct {
	File string    `json:"file"`
	Time time.Time `json:"state_time,omitzero"`
	Why  []string  `json:"why"`
}

type stepObject struct {
	Merge  []string `json:"merge"`
	Copies []string `json:"remove_copies"`
	Remove []string `json:"remove"`
}

type leftObject struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

func (t *teller) object(d prune.Done) pruneSummary {
	o := pruneSummary{DryRun: t.inv.Bool("dry-run"), Volumes: []prunedGroup{},
		Left: leftObjects(t.plan.Left), Tidied: append([]string{}, t.leftovers...),
		Merged: d.Merged, Made: d.Made, Removed: d.Removed, Read: d.Read, Written: d.Written,
		Won: d.Won}
	for _, v := range t.plan.Volumes {
		g := prunedGroup{v.Name, []keptObject{}, []stepObject{}, leftObjects(v.Left)}
		for _, k := range v.Kept {
			g.Kept = append(g.Kept, keptObject{k.Path, k.Time(), k.Why})
		}
		for _, s := range v.Steps {
			g.Steps = append(g.Steps, stepObject{pathsOf(s.Merge), pathsOf(s.Copies),
				pathsOf(s.Remove)})
		}
		o.Volumes = append(o.Volumes, g)
	}
	return o
}

func leftObjects(left []retention.Left) []leftObject {
	list := make([]leftObject, 0, len(left))
	for _, l := range left {
		list = append(list, leftObject{l.Path, l.Why})
	}
	return list
}

func pathsOf(patches []*archive.Patch) []string {
	paths := make([]string, 0, len(patches))
	for _, p := range patches {
		paths = append(paths, p.Path)
	}
	return paths
}
