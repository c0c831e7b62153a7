package patchcmd

import (
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/follow"
)

// listObject is what --json prints.
type listObject struct {
	Checked bool           `json:"checked"`
	Volumes []volumeObject `json:"volumes"`
	Files   []fileObject   `json:"files"`
}

type volumeObject struct {
	Volume string        `json:"volume"`
	States int           `json:"restorable_states"`
	Chains []chainObject `json:"chains"`
	Undo   []patchObject `json:"undo"`
}

type chainObject struct {
	Restorable bool          `json:"restorable"`
	Base       string        `json:"base,omitempty"`
	Gap        bool          `json:"gap"`
	Patches    []patchObject `json:"patches"`
}

type patchObject struct {
	File             string      `json:"file"`
	ID               uuid.UUID   `json:"patch_id"`
	Kind             format.Kind `json:"kind"`
	Created          time.Time   `json:"created,omitzero"`
	State            string      `json:"state"`
	StateTime        time.Time   `json:"state_time,omitzero"`
	Snapshot         string      `json:"snapshot,omitempty"`
	SnapshotUUID     string      `json:"snapshot_uuid,omitempty"`
	VolumeSize       int64       `json:"volume_size"`
	DataBytes        int64       `json:"data_bytes"`
	ZeroBytes        int64       `json:"zero_bytes"`
	PatchBytes       int64       `json:"patch_bytes"`
	Whole            bool        `json:"whole"`
	Follows          *uuid.UUID  `json:"follows"`
	Doubt            string      `json:"doubt,omitempty"`
	InDoubt          bool        `json:"in_doubt"`
	BaseSnapshotUUID string      `json:"base_snapshot_uuid,omitempty"`
}

type fileObject struct {
	File   string         `json:"file"`
	Status archive.Status `json:"status"`
	Error  string         `json:"error"`
	SameAs string         `json:"same_as,omitempty"`
}

func (l listing) object() listObject {
	o := listObject{Checked: l.checked, Volumes: []volumeObject{}, Files: []fileObject{}}
	for _, v := range l.Volumes {
		o.Volumes = append(o.Volumes, objectOf(v))
	}
	for _, f := range l.Files {
		file := fileObject{File: f.Path, Status: f.Status, Error: f.Err.Error()}
		if f.Same != nil {
			file.SameAs = f.Same.Path
		}
		o.Files = append(o.Files, file)
	}
	return o
}

func objectOf(v *archive.Volume) volumeObject {
	o := volumeObject{Volume: v.Name, States: len(v.States()), Chains: []chainObject{},
		Undo: objectsOf(v.Undo)}
	gaps := make(map[*archive.Patch]bool)
	for _, p := range v.Gaps() {
		gaps[p] = true
	}
	for _, c := range v.Chains {
		first := c.First()
		o.Chains = append(o.Chains, chainObject{Restorable: first.Restorable(), Base: first.Gap,
			Gap: gaps[first], Patches: objectsOf(c.Patches)})
	}
	return o
}

func objectsOf(patches []*archive.Patch) []patchObject {
	list := make([]patchObject, 0, len(patches))
	for _, p := range patches {
		h := p.Header
		o := patchObject{File: p.Path, ID: h.ID, Kind: h.Kind, Created: h.Created,
			State: p.State(), StateTime: p.Time(), Snapshot: snapshotOf(p),
			SnapshotUUID: follow.StateOf(h).Snapshot, VolumeSize: p.VolumeSize(),
			DataBytes: p.Totals.DataBytes, ZeroBytes: p.Totals.ZeroBytes, PatchBytes: p.Size,
			Whole: !p.NoEnd, Doubt: p.Doubt, InDoubt: p.InDoubt(),
			BaseSnapshotUUID: follow.BaseOf(h).Snapshot}
		if p.Follows != nil {
			o.Follows = &p.Follows.Header.ID
		}
		list = append(list, o)
	}
	return list
}
