package merge

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/internal/frame"
)

// A Made says by what program the patch is made.
type Made struct {
	Tool        string
	ToolVersion string
}

// Header is the header of a patch that does what the inputs do, which are in order. Samples is
// its fingerprint; lost says that there are lost extents of which no later patch has the bytes.
func Header(inputs []Input, samples format.Fingerprint, lost bool, made Made) (
	format.Header, error,
) {
	var headers []format.Header
	for _, in := range inputs {
		headers = append(headers, in.File.Header())
	}
	first, last := headers[0], headers[len(headers)-1]
	h := format.Header{ID: uuid.New(), Kind: first.Kind, Tool: made.Tool,
		ToolVersion: made.ToolVersion, Host: last.Host, Source: last.Source}
	end := last.Last()
	if (end.Kind == format.Undo) == (first.Kind == format.Undo) {
		h.Created, h.Source.Uptime = end.Created, end.Source.Uptime
	} else {
		h.Source.Uptime = 0
	}
	h.Granularity = first.Granularity
	for _, x := range headers {
		h.VolumeSize = max(h.VolumeSize, x.VolumeSize)
		h.Granularity = min(h.Granularity, x.Granularity)
	}
	h.State = stateBehind(last)
	h.Base = baseBefore(first, samples)
	if h.Base != nil && h.Base.HashSeed != 0 {
		h.RequiredFeatures = append(h.RequiredFeatures, format.BaseHashSeed)
	}
	if lost {
		h.RequiredFeatures = append(h.RequiredFeatures, format.LostSectors)
	}
	h.Planned = planned(h, inputs)
	h.Merged = &format.Merged{Patches: idsOf(headers), HashesEnd: hashesEnd(headers),
		First: firstPart(first), Last: lastPart(last), Sources: sourcesOf(headers)}
	return h, fit(&h)
}

// stateBehind is the state of a merged patch, of which last is the last one.
func stateBehind(last format.Header) *format.State {
	var s format.State
	if last.State != nil {
		s = *last.State
	}
	s.Patches = slices.Clone(s.Patches)
	if s.Patch != uuid.Nil {
		s.Patches = append(s.Patches, s.Patch)
	}
	s.Patches = s.Patches[max(0, len(s.Patches)-format.MaxStatePatches):]
	s.Patch = last.ID
	return &s
}

// baseBefore is the base of a merged patch, of which first is the first one.
func baseBefore(first format.Header, samples format.Fingerprint) *format.Base {
	if first.Kind == format.Full || first.Base == nil && len(samples) == 0 {
		return nil
	}
	var b format.Base
	if first.Base != nil {
		b = *first.Base
	}
	b.Fingerprint = samples
	return &b
}

// planned promises what is known before the patches are gone through.
func planned(h format.Header, inputs []Input) *format.Planned {
	var extents, bytes int64
	all := h.Kind == format.Full
	for _, in := range inputs {
		t := in.File.Totals()
		all = all || t.Bytes() == h.VolumeSize
		extents += t.Extents
		bytes = min(h.VolumeSize, bytes+t.Bytes())
	}
	switch {
	case all:
		bytes = h.VolumeSize
	case h.Base == nil || !h.Base.Exact:
		return nil
	}
	return &format.Planned{Extents: extents, Bytes: bytes}
}

// idsOf are the ids of patches, and before each those that it was merged of.
func idsOf(headers []format.Header) (ids []uuid.UUID) {
	for _, h := range headers {
		if h.Merged != nil {
			ids = append(ids, h.Merged.Patches...)
		}
		ids = append(ids, h.ID)
	}
	return ids[max(0, len(ids)-format.MaxMerged):]
}

// hashesOf tells of how many patches, the first ones, base hashes can stay.
func hashesOf(headers []format.Header) int {
	for i, h := range headers {
		if seedOf(h) != seedOf(headers[0]) {
			return i
		}
		if h.Merged != nil && h.Merged.HashesEnd {
			return i + 1
		}
	}
	return len(headers)
}

// hashesEnd tells whether no base hashes come in behind the merged patch.
func hashesEnd(headers []format.Header) bool {
	last := headers[len(headers)-1]
	return hashesOf(headers) < len(headers) || last.Merged != nil && last.Merged.HashesEnd
}

func seedOf(h format.Header) format.Hash {
	if h.Base == nil {
		return 0
	}
	return h.Base.HashSeed
}

// firstPart is what the first patch said of itself; nil if it is full, which follows none.
func firstPart(h format.Header) *format.MergedPart {
	if h.Kind == format.Full {
		return nil
	}
	if h.Merged != nil {
		return h.Merged.First
	}
	s := h.Source
	s.DeviceUUID, s.DeviceID, s.Storage, s.Noted = "", "", nil, nil
	kept := s.SnapshotUUID
	if h.Base != nil {
		kept = cmp.Or(h.Base.Snapshot, kept)
	}
	if id := h.Source.Noted[kept]; id != uuid.Nil {
		s.Noted = map[string]uuid.UUID{kept: id}
	}
	return &format.MergedPart{ID: h.ID, Kind: h.Kind, Created: h.Created, Host: h.Host,
		Source: &s, VolumeSize: h.VolumeSize, State: h.State, Planned: h.Planned}
}

// lastPart is what the last patch said of itself.
func lastPart(h format.Header) *format.MergedPart {
	if h.Merged != nil {
		return h.Merged.Last
	}
	p := &format.MergedPart{ID: h.ID, Kind: h.Kind, Created: h.Created,
		Uptime: h.Source.Uptime, VolumeSize: h.VolumeSize}
	if h.Base != nil {
		base := *h.Base
		base.Fingerprint, base.HashSeed = nil, 0
		p.Base = &base
	}
	return p
}

// fewSamples is how many samples stay where a header is too long.
const fewSamples = 16

// fit shortens what is too long for a header: nothing that others need in order to tell rightly
// whether they follow.
func fit(h *format.Header) error {
	m := *h.Merged
	h.Merged = &m
	for {
		text, err := json.Marshal(h)
		switch {
		case err != nil:
			return fmt.Errorf("merge: %w", err)
		case len(text) <= frame.MaxJSON:
			return nil
		case len(m.Patches) > 16:
			m.Patches = m.Patches[len(m.Patches)/2:]
		case h.Base != nil && len(h.Base.Fingerprint) > fewSamples:
			base := *h.Base
			base.Fingerprint = spread(base.Fingerprint, len(base.Fingerprint)/2)
			h.Base = &base
		case len(m.Sources) > 1:
			m.Sources = m.Sources[len(m.Sources)/2:]
		default:
			return fmt.Errorf("merge: a header of %d bytes, limit %d", len(text), frame.MaxJSON)
		}
	}
}
