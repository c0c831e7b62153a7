package format

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// MaxMerged bounds the patches that a [Merged] tells of.
const MaxMerged = 256

// MaxMergedSources bounds the sources that a [Merged] tells of.
const MaxMergedSources = 32

// MaxStatePatches bounds the further patches of a [State].
const MaxStatePatches = 64

// A Merged says of what patches one was merged (docs/format.md, "Merged patches").
type Merged struct {
	// Patches are the ids of these and, before each that was merged itself, of those that it was
	// merged of; of more than MaxMerged the last.
	Patches []uuid.UUID `json:"patches"`
	// HashesEnd means that no base hashes of patches that are merged behind this one can stay.
	HashesEnd bool `json:"hashes_end,omitempty"`
	// First is the first of the patches as one that follows others; nil: it is full.
	First *MergedPart `json:"first,omitempty"`
	// Last is the last of the patches as one that others follow.
	Last *MergedPart `json:"last,omitempty"`
	// Sources are what the patches were read from, but undo patches, in order; of more than
	// MaxMergedSources the last. Nil: the header has all.
	Sources []MergedSource `json:"sources,omitempty"`
}

// A MergedSource is a device or file that patches were read from, by all that tells it from others.
type MergedSource struct {
	Host   string `json:"host,omitempty"`
	Source Source `json:"source"`
}

// A MergedPart is what a header said of the place that its patch had among others, as far as
// that of the merged patch doesn't have it.
type MergedPart struct {
	ID         uuid.UUID `json:"id"`
	Kind       Kind      `json:"kind"`
	Created    time.Time `json:"created,omitzero"`
	Host       string    `json:"host,omitempty"`
	Uptime     int64     `json:"uptime_ms,omitzero"` // of the source
	Source     *Source   `json:"source,omitempty"`
	VolumeSize int64     `json:"volume_size"` // in bytes
	Base       *Base     `json:"base,omitempty"`
	State      *State    `json:"state,omitempty"`
	Planned    *Planned  `json:"planned,omitempty"`
}

// First is the header for whoever asks whether the patch follows another one: that of the first
// patch of those that it was merged of, as far as it counts for that.
func (h Header) First() Header {
	if h.Merged == nil || h.Merged.First == nil {
		return h
	}
	p := h.Merged.First
	h.ID, h.Kind, h.VolumeSize, h.Created = p.ID, p.Kind, p.VolumeSize, p.Created
	h.Host, h.State, h.Planned, h.Source = p.Host, p.State, p.Planned, Source{}
	if p.Source != nil {
		h.Source = *p.Source
	}
	h.Merged = nil
	return h
}

// Last is the header for whoever asks whether another patch follows this one: that of the last
// patch of those that it was merged of, as far as it counts for that. It leads to where this one
// does.
func (h Header) Last() Header {
	if h.Merged == nil || h.Merged.Last == nil {
		return h
	}
	p := h.Merged.Last
	var state State
	if h.State != nil {
		state = *h.State
	}
	state.Patches = append(slices.Clone(state.Patches), h.ID)
	h.ID, h.Kind, h.VolumeSize, h.Created = p.ID, p.Kind, p.VolumeSize, p.Created
	h.Base, h.State, h.Source.Uptime = p.Base, &state, p.Uptime
	h.Merged = nil
	return h
}

// Sources are what the patch was read from: each as the header of a patch that was read from that
// alone. An undo patch has none, for it was read from where it goes.
func (h Header) Sources() (sources []Header) {
	switch {
	case h.Merged != nil && h.Merged.Sources != nil:
		for _, s := range h.Merged.Sources {
			one := h
			one.Host, one.Source = s.Host, s.Source
			sources = append(sources, one)
		}
	case h.Kind != Undo:
		sources = []Header{h}
	}
	return sources
}

// MayLackEnd tells whether the patch may be used without its end: what an undo patch has not saved
// was not overwritten yet. A merged one was not written ahead like that.
func (h Header) MayLackEnd() bool { return h.Kind == Undo && h.Merged == nil }

// Leads tells whether the state is one that the patch with that id leads to by name.
func (s State) Leads(patch uuid.UUID) bool {
	return patch != uuid.Nil && (s.Patch == patch || slices.Contains(s.Patches, patch))
}

// validateMerged checks what a header says of merged patches.
func (h *Header) validateMerged() error {
	if s := h.State; s != nil {
		err := checkIDs("patches that lead to the state", s.Patches, MaxStatePatches)
		if err != nil {
			return err
		}
	}
	m := h.Merged
	if m == nil {
		return nil
	}
	if err := checkIDs("merged patches", m.Patches, MaxMerged); err != nil {
		return err
	}
	if len(m.Sources) > MaxMergedSources {
		return fmt.Errorf("%d sources of merged patches, limit %d", len(m.Sources),
			MaxMergedSources)
	}
	for _, s := range m.Sources {
		if err := s.Source.validate(); err != nil {
			return fmt.Errorf("of a merged patch: %w", err)
		}
	}
	for _, p := range []*MergedPart{m.First, m.Last} {
		if err := p.validate(); err != nil {
			return fmt.Errorf("of a merged patch: %w", err)
		}
		if p != nil && p.VolumeSize > h.VolumeSize {
			return fmt.Errorf("of a merged patch: a volume of %d bytes in one of %d",
				p.VolumeSize, h.VolumeSize)
		}
	}
	return nil
}

func checkIDs(what string, ids []uuid.UUID, limit int) error {
	if len(ids) > limit {
		return fmt.Errorf("%d %s, limit %d", len(ids), what, limit)
	}
	if slices.Contains(ids, uuid.Nil) {
		return fmt.Errorf("%s of which one has no id", what)
	}
	return nil
}

// validate checks a part like a header of its own, which must not be merged itself.
func (p *MergedPart) validate() error {
	if p == nil {
		return nil
	}
	h := Header{ID: p.ID, Kind: p.Kind, VolumeSize: p.VolumeSize, Granularity: SectorSize,
		Base: p.Base, State: p.State, Planned: p.Planned,
		RequiredFeatures: []string{BaseHashSeed}}
	if p.Source != nil {
		h.Source = *p.Source
	}
	if p.Uptime < 0 {
		return fmt.Errorf("an uptime of %d ms", p.Uptime)
	}
	return h.Validate()
}
