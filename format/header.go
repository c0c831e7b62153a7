package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/strictjson"
)

// Kind tells what a patch is relative to.
type Kind string

const (
	// Full patches hold the whole volume.
	Full Kind = "full"
	// Delta patches hold what changed since their base.
	Delta Kind = "delta"
	// Undo patches hold what a destination held before another patch was applied.
	Undo Kind = "undo"
)

// A Header describes a patch. Its JSON names are the format's
// (docs/format.md, "Header"). Copies share what Base, State and Planned point to: nobody
// changes that of a patch that is written or read.
type Header struct {
	ID          uuid.UUID `json:"id"`           // of this patch
	Kind        Kind      `json:"kind"`         // full, delta or undo
	Created     time.Time `json:"created"`      // when the dump began
	Tool        string    `json:"tool"`         // program that wrote the patch
	ToolVersion string    `json:"tool_version"` // and its version
	Host        string    `json:"host"`         // name of the machine it ran on
	Source      Source    `json:"source"`       // where the data came from
	VolumeSize  int64     `json:"volume_size"`  // size of the volume in bytes, at least 1
	Granularity int64     `json:"granularity"`  // unit of change in bytes: chunk or block
	Base        *Base     `json:"base,omitempty"`
	State       *State    `json:"state,omitempty"`
	// Start is where the patch begins, in bytes: changes before it were left out,
	// for an interrupted run had brought them to the destination.
	Start int64 `json:"start,omitzero"`

	// RequiredFeatures names what a reader must know beyond version 1 in order
	// to apply the patch rightly: BaseHashSeed, LostSectors.
	RequiredFeatures []string `json:"required_features,omitempty"`
	// Planned is what the patch will hold, where that is known beforehand.
	Planned *Planned `json:"planned,omitempty"`
	// Merged says of what patches this one was merged; nil: it wasn't.
	Merged *Merged `json:"merged,omitempty"`
}

// A Base says what a delta is relative to.
type Base struct {
	// Exact means that the patch leaves out what is equal in the base: the
	// destination must hold the base bit by bit.
	Exact bool `json:"exact"`
	// Snapshot is the UUID of the snapshot that is the base.
	Snapshot string `json:"snapshot,omitempty"`
	// SnapshotCreated is when that was made, to the second.
	SnapshotCreated time.Time `json:"snapshot_created,omitzero"`
	// Patch is the patch that leads to the base, where one is known: of an undo
	// patch, the one that it takes back.
	Patch uuid.UUID `json:"patch,omitzero"`
	// HashSeed is the seed of the base hashes. One that isn't 0 requires
	// [BaseHashSeed].
	HashSeed Hash `json:"hash_seed,omitzero"`
	// Fingerprint is a sample of the base outside the patch's extents.
	Fingerprint Fingerprint `json:"fingerprint,omitempty"`
}

// BaseHashSeed is required where base hashes have a seed of their own: they
// come from a signature.
const BaseHashSeed = "base-hash-seed"

// A State names what the volume is after a patch, where it is something that
// other patches know by name. After every patch it also is "what that patch
// leads to".
type State struct {
	// Snapshot is the UUID of the snapshot that the volume equals.
	Snapshot string `json:"snapshot,omitempty"`
	// SnapshotCreated is when that was made, to the second.
	SnapshotCreated time.Time `json:"snapshot_created,omitzero"`
	// Patch is an earlier patch that led to the same state.
	Patch uuid.UUID `json:"patch,omitzero"`
	// Patches are more such patches.
	Patches []uuid.UUID `json:"patches,omitempty"`
}

// Planned counts what a patch will hold, so that the far end of a pipe can show
// a percentage. Extents may differ from what the patch turns out to hold, for
// zero blocks split extents. Bytes may not, but for an exact base: then it is the
// most that it can be.
type Planned struct {
	Extents int64 `json:"extents"` // changed extents, before zero blocks are looked for
	Bytes   int64 `json:"bytes"`   // length of all extents, zero or not
}

// exact tells whether the patch leaves out what equals its base.
func (h *Header) exact() bool { return h.Base != nil && h.Base.Exact }

// Validate checks what version 1 demands of a header.
func (h *Header) Validate() error {
	switch {
	case h.ID == uuid.Nil:
		return errors.New("id is missing")
	case h.Kind == "":
		return errors.New("kind is missing")
	case h.Kind != Full && h.Kind != Delta && h.Kind != Undo:
		return fmt.Errorf("kind %.20q is none of full, delta, undo", h.Kind)
	case h.VolumeSize < 1:
		return fmt.Errorf("volume size of %d bytes is out of range", h.VolumeSize)
	case h.Granularity < SectorSize || h.Granularity%SectorSize != 0:
		return fmt.Errorf("granularity of %d bytes is not a multiple of %d",
			h.Granularity, SectorSize)
	case h.Start < 0 || h.Start >= h.VolumeSize || h.Start > 0 && h.Kind == Full:
		return fmt.Errorf("a %s patch of a volume of %d bytes that starts at byte %d",
			h.Kind, h.VolumeSize, h.Start)
	case h.Kind == Full && h.Base != nil:
		return errors.New("a full patch that has a base")
	case h.Source.Uptime < 0:
		return fmt.Errorf("an uptime of %d ms", h.Source.Uptime)
	case h.Planned != nil &&
		(h.Planned.Bytes < 0 || h.Planned.Bytes > h.VolumeSize || h.Planned.Extents < 0):
		return fmt.Errorf("planned %d extents of %d bytes do not fit the volume",
			h.Planned.Extents, h.Planned.Bytes)
	}
	if err := h.Source.validate(); err != nil {
		return err
	}
	if err := h.validateMerged(); err != nil {
		return err
	}
	if h.Base == nil {
		return nil
	}
	if h.Base.HashSeed != 0 && !h.requires(BaseHashSeed) {
		return fmt.Errorf("base hashes have a seed without the feature %s", BaseHashSeed)
	}
	return h.Base.Fingerprint.Validate(h.VolumeSize)
}

// LostSectors is the required feature of a patch in which zero extents may stand for
// what could not be read.
const LostSectors = "lost-sectors"

// knownFeatures lists the required features that this package understands.
var knownFeatures = []string{BaseHashSeed, LostSectors}

func (h *Header) requires(feature string) bool {
	return slices.Contains(h.RequiredFeatures, feature)
}

func (h *Header) checkFeatures() error {
	for _, f := range h.RequiredFeatures {
		if !slices.Contains(knownFeatures, f) {
			return fmt.Errorf("%w %.60q", ErrFeature, f)
		}
	}
	return nil
}

// marshalHeader gives the whole header frame.
func marshalHeader(h *Header) ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("patch header: %w", err)
	}
	if err := h.checkFeatures(); err != nil {
		return nil, fmt.Errorf("patch header: %w", err)
	}
	text, err := json.Marshal(h)
	if err == nil && len(text) > frame.MaxJSON {
		err = fmt.Errorf("%d bytes of JSON, limit %d", len(text), frame.MaxJSON)
	}
	if err == nil {
		_, err = decodeHeader(text) // what can't be read must not go out
	}
	if err != nil {
		return nil, fmt.Errorf("patch header: %w", err)
	}
	return frame.Head(frame.PatchMagic, Version, text), nil
}

// readHeader reads and checks the header frame and returns it with the frame's
// bytes, which the trailer's checksum covers. They are in buf if that has room for them.
func readHeader(r io.Reader, buf []byte) (*Header, []byte, error) {
	const headStart = frame.HeaderSize + frame.HeadFixed
	fixed := slices.Grow(buf[:0], headStart)[:headStart]
	n, err := io.ReadFull(r, fixed)
	if frame.IsInputError(err) {
		return nil, nil, partError("header", 0, n, err)
	}
	if err := checkHeaderMagic(fixed[:n]); err != nil {
		return nil, nil, err
	}
	size, text := le.Uint32(fixed[4:]), le.Uint32(fixed[20:])
	if text > frame.MaxJSON {
		return nil, nil, corrupt("header", 0, "%d bytes of JSON, limit %d", text, frame.MaxJSON)
	}
	if size != frame.HeadFixed+text+frame.SumSize {
		return nil, nil, corrupt("header", 0, "frame of %d bytes does not fit %d bytes of JSON",
			size, text)
	}
	b := slices.Grow(fixed, int(text+frame.SumSize))[:len(fixed)+int(text+frame.SumSize)]
	if n, err := io.ReadFull(r, b[len(fixed):]); err != nil {
		return nil, nil, partError("header", 0, len(fixed)+n, err)
	}
	h, err := parseHeader(b)
	return h, b, err
}

// checkHeaderMagic looks at the first bytes of the input, fewer than wanted if
// it ends there. Magic and version come before everything else, so that
// something else is called by its name and a newer patch is never called corrupt.
func checkHeaderMagic(b []byte) error {
	want := le.AppendUint32(nil, frame.Skippable)
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w: the input is empty", ErrNotPatch)
	case len(b) >= 4 && le.Uint32(b) == frame.Zstd:
		return fmt.Errorf("%w: it is a zstd file without a patch header", ErrNotPatch)
	case len(b) >= 16 && string(b[8:16]) == frame.SignatureMagic:
		return fmt.Errorf("%w: it is a signature", ErrNotPatch)
	case !strings.HasPrefix(string(want), string(b[:min(len(b), 4)])):
		return fmt.Errorf("%w: it begins with %q", ErrNotPatch, b[:min(len(b), 8)])
	case len(b) > 8 && !strings.HasPrefix(frame.PatchMagic, string(b[8:min(len(b), 16)])):
		return fmt.Errorf("%w: a skippable zstd frame without the patch magic", ErrNotPatch)
	case len(b) >= 20 && le.Uint32(b[16:]) != Version:
		return versionError(le.Uint32(b[16:]))
	case len(b) < frame.HeaderSize+frame.HeadFixed:
		return &TruncatedError{Part: "header", Offset: int64(len(b))}
	}
	return nil
}

func versionError(v uint32) error {
	if v == 0 {
		return corrupt("header", 0, "%w", frame.ErrVersion0)
	}
	return fmt.Errorf("%w %d: this program reads version %d", ErrVersion, v, Version)
}

// parseHeader reads the frame b, whose sizes have been checked.
func parseHeader(b []byte) (*Header, error) {
	text, err := frame.HeadText(b)
	if err != nil {
		return nil, corrupt("header", 0, "%w", err)
	}
	h, err := decodeHeader(text)
	if err != nil {
		return nil, corrupt("header", 0, "%w", err)
	}
	if err := h.checkFeatures(); err != nil {
		return nil, err
	}
	if err := h.Validate(); err != nil {
		return nil, corrupt("header", 0, "%w", err)
	}
	return h, nil
}

var headerForms = strictjson.Forms(strictjson.Text(parseHash))

// decodeHeader reads the JSON text of a header, of which it doesn't check more than types
// and forms. A base of which nothing is said is as good as none.
func decodeHeader(text []byte) (*Header, error) {
	h := new(Header)
	all := struct {
		*Header
		Planned *struct { // a promise only if bytes are given
			Extents int64  `json:"extents"`
			Bytes   *int64 `json:"bytes"`
		} `json:"planned"`
	}{Header: h}
	if err := strictjson.DecodeForms(text, &all, headerForms); err != nil {
		return nil, err
	}
	if len(h.RequiredFeatures) == 0 {
		h.RequiredFeatures = nil
	}
	if p := all.Planned; p != nil && p.Bytes != nil {
		h.Planned = &Planned{Extents: p.Extents, Bytes: *p.Bytes}
	}
	if h.Kind == Full && h.Base != nil && len(h.Base.Fingerprint) == 0 {
		if h.Base.Fingerprint = nil; reflect.DeepEqual(*h.Base, Base{}) {
			h.Base = nil
		}
	}
	return h, nil
}
