package thin

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
)

// A note is what is remembered about a thin volume for later dumps from it: what dumps may have
// brought to copies, which the pool's metadata may tell no more. In a file it is the magic, the
// length of a JSON text (4 bytes, little-endian), that text, the set of blocks as roaring bitmaps
// are serialised, and the xxh64 of all that.
type note struct {
	Name       string       `json:"name"`                 // a copy of it under another one is none
	Dumps      []noted      `json:"dumps,omitempty"`      // the last ones that are in it
	Group      string       `json:"group,omitempty"`      // UUID of the volume's group
	Everything bool         `json:"everything,omitempty"` // any block may have been brought
	Full       []thinVolume `json:"full,omitempty"`       // was brought as it was read in use

	blocks *roaring64.Bitmap // that were brought, as data or as zeros
	sum    uint64            // of the file, to tell whether it has changed; 0 without one
}

// A noted is a dump in a note, by its id in docs/format.md, "Notes".
type noted struct {
	ID    uuid.UUID `json:"id"`
	Delta bool      `json:"delta,omitempty"` // from the volume, or back to it
}

// A thinVolume is a thin volume of LVM's in a note. It gets another id when a snapshot is merged
// into it, and the next merge may give it back its first one: then it was created later.
type thinVolume struct {
	Name    string `json:"name"` // vg/lv, as it was then
	UUID    string `json:"uuid"`
	ThinID  uint32 `json:"thin_id"`
	Created uint32 `json:"created"` // as the pool counts
}

// is tells whether both are the same volume, with what it held.
func (v thinVolume) is(o thinVolume) bool {
	return v.UUID == o.UUID && v.ThinID == o.ThinID && v.Created == o.Created
}

const (
	noteMagic = "lvmsync note 1\n"
	// maxNote is how long a note may be, in bytes: about as much as the blocks of 64 KiB of a
	// volume of 128 TiB take at most.
	maxNote = 256 << 20
	// maxNoteText is how long its JSON text may be.
	maxNoteText = 1 << 20
	// maxFull is how many volumes it names. A snapshot has one origin, but for those that were
	// merged into others.
	maxFull = 64
	// blockLimit is above every block of a volume: of less than 2^63 bytes, in blocks of 64 KiB at
	// least.
	blockLimit = 1 << 47
)

// newNote is the note of that name before anything is noted.
func newNote(name string) *note { return &note{Name: name, blocks: roaring64.New()} }

// add adds what another note has. What becomes too much is everything.
func (n *note) add(o *note) {
	n.Group = o.Group
	n.Everything = n.Everything || o.Everything
	n.Dumps = append(n.Dumps, o.Dumps...)
	// A full copy may be older than many deltas, and be what they are applied to.
	for len(n.Dumps) > format.MaxNotedBefore {
		earlier := n.Dumps[:len(n.Dumps)-1]
		i := slices.IndexFunc(earlier, func(d noted) bool { return d.Delta })
		n.Dumps = slices.Delete(n.Dumps, max(0, i), max(0, i)+1)
	}
	n.blocks = roaring64.Or(n.blocks, o.blocks)
	for _, v := range o.Full {
		if !slices.ContainsFunc(n.Full, v.is) {
			n.Full = append(n.Full, v)
		}
	}
	n.blocks.RunOptimize()
	if len(n.Full) > maxFull || n.blocks.GetSerializedSizeInBytes() > maxNote-2*maxNoteText {
		n.Everything = true
	}
	if n.Everything {
		n.Full, n.blocks = nil, roaring64.New()
	}
}

// ids are those of the dumps that are in it.
func (n *note) ids() []uuid.UUID {
	var ids []uuid.UUID
	for _, d := range n.Dumps {
		ids = append(ids, d.ID)
	}
	return ids
}

// marshal gives the bytes of a note's file.
func (n *note) marshal() ([]byte, error) {
	text, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint32([]byte(noteMagic), uint32(len(text)))
	b = append(b, text...)
	set, err := n.blocks.ToBytes()
	if err != nil {
		return nil, err
	}
	b = append(b, set...)
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b)), nil
}

// errDamaged means that a note is none, or not the one that it should be.
var errDamaged = errors.New("it is damaged")

// parseNote reads a note's file.
func parseNote(b []byte, name string) (*note, error) {
	const fixed = len(noteMagic) + 4
	if len(b) < fixed+8 || string(b[:len(noteMagic)]) != noteMagic {
		return nil, errDamaged
	}
	body, sum := b[:len(b)-8], xxhash.Sum64(b[:len(b)-8])
	if sum != binary.LittleEndian.Uint64(b[len(b)-8:]) {
		return nil, errDamaged
	}
	size := binary.LittleEndian.Uint32(body[len(noteMagic):])
	if size > maxNoteText || int64(size) > int64(len(body)-fixed) {
		return nil, errDamaged
	}
	n := newNote("")
	if err := json.Unmarshal(body[fixed:fixed+int(size)], n); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if n.Name != name || len(n.Dumps) > format.MaxNotedBefore || len(n.Full) > maxFull {
		return nil, fmt.Errorf("%w: it is the note %.100q", errDamaged, n.Name)
	}
	var err error
	if n.blocks, err = parseBlocks(body[fixed+int(size):]); err != nil {
		return nil, fmt.Errorf("%w: its blocks: %w", errDamaged, err)
	}
	n.sum = xxhash.Sum64(b)
	return n, nil
}

// parseBlocks reads a set of blocks, which has to be all of b. The library allocates what a count
// demands, and takes what it reads as it is.
func parseBlocks(b []byte) (*roaring64.Bitmap, error) {
	const least = 12 // bytes of one of the bitmaps that are counted
	if len(b) < 8 || binary.LittleEndian.Uint64(b) > uint64(len(b)-8)/least {
		return nil, errors.New("more bitmaps than there is room for")
	}
	if binary.LittleEndian.Uint64(b) == 0 && len(b) == 8 {
		return roaring64.New(), nil
	}
	set := roaring64.New()
	r := bytes.NewReader(b)
	if _, err := set.ReadFrom(r); err != nil {
		return nil, err
	}
	if r.Len() > 0 {
		return nil, fmt.Errorf("%d bytes behind them", r.Len())
	}
	if err := set.Validate(); err != nil {
		return nil, err
	}
	if !set.IsEmpty() && set.Maximum() >= blockLimit {
		return nil, fmt.Errorf("one is %d, past all that a volume can have", set.Maximum())
	}
	return set, nil
}
