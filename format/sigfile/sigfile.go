// Package sigfile writes and reads signatures, format version 1: the hashes of a volume's
// blocks, by which its differences from another volume can be found without its data.
// docs/signature.md is the specification; the comments here name its sections.
package sigfile

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/strictjson"
)

// Version is the version of the signature format that this package writes
// and reads (docs/signature.md).
const Version = 1

// Limits of a signature.
const (
	minBlockSize    = format.SectorSize // smallest block that is hashed, in bytes
	maxBlockSize    = 1 << 20           // largest
	MaxTableBlocks  = 1 << 16           // blocks in a table
	maxTableContent = tableFixedSize + MaxTableBlocks/8 + MaxTableBlocks*hashSize
	tableFixedSize  = 16 // first block, count, reserved
	hashSize        = 8
)

var le = binary.LittleEndian

// A Header describes a signature: the hashes of a volume's blocks. Its JSON
// names are the format's (docs/signature.md, "Header").
type Header struct {
	ID          uuid.UUID     `json:"id"`           // of this signature
	Created     time.Time     `json:"created"`      // when the reading began
	Tool        string        `json:"tool"`         // program that wrote it
	ToolVersion string        `json:"tool_version"` // and its version
	Host        string        `json:"host"`         // name of the machine it ran on
	Source      format.Source `json:"source"`       // what was read
	VolumeSize  int64         `json:"volume_size"`  // its size in bytes, at least 1
	BlockSize   int64         `json:"block_size"`   // that a hash is of, in bytes: a power of two
	// Seed is that of the hashes. It is random, so that what one signature does not
	// show by accident, the next one does.
	Seed format.Hash `json:"seed"`
	// Patch leads to what was read, which was a state of an archive; zero: it was none.
	Patch uuid.UUID `json:"patch,omitzero"`
	// Fingerprint is a sample of the volume, with hashes without seed.
	Fingerprint format.Fingerprint `json:"fingerprint,omitempty"`
	// RequiredFeatures names what a reader must know beyond version 1.
	RequiredFeatures []string `json:"required_features,omitempty"`
}

// Blocks is the number of the volume's blocks, the last perhaps not whole.
func (h *Header) Blocks() int64 {
	return h.VolumeSize/h.BlockSize + min(h.VolumeSize%h.BlockSize, 1)
}

// IsBlockSize tells whether blocks of n bytes can be hashed.
func IsBlockSize(n int64) bool {
	return n >= minBlockSize && n <= maxBlockSize && bits.OnesCount64(uint64(n)) == 1
}

// Validate checks what version 1 demands.
func (h *Header) Validate() error {
	switch {
	case len(h.RequiredFeatures) > 0: // which may explain what else is strange
		return fmt.Errorf("%w %.60q", format.ErrFeature, h.RequiredFeatures[0])
	case h.ID == uuid.Nil:
		return errors.New("id is missing")
	case h.VolumeSize < 1:
		return fmt.Errorf("volume size of %d bytes is out of range", h.VolumeSize)
	case !IsBlockSize(h.BlockSize):
		return fmt.Errorf("block size of %d bytes is no power of two within %d to %d",
			h.BlockSize, minBlockSize, maxBlockSize)
	}
	return h.Fingerprint.Validate(h.VolumeSize)
}

// marshal gives the whole header frame. It is built like a patch's.
func (h *Header) marshal() ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("signature header: %w", err)
	}
	text, err := json.Marshal(h)
	if err == nil && len(text) > frame.MaxJSON {
		err = fmt.Errorf("%d bytes of JSON, limit %d", len(text), frame.MaxJSON)
	}
	if err == nil {
		_, _, err = decodeHeader(text) // what can't be read must not go out
	}
	if err != nil {
		return nil, fmt.Errorf("signature header: %w", err)
	}
	return frame.Head(frame.SignatureMagic, Version, text), nil
}

// parseHeader reads the frame b, whose sizes have been checked.
func parseHeader(b []byte) (*Header, error) {
	text, err := frame.HeadText(b)
	if err != nil {
		return nil, err
	}
	h, seeded, err := decodeHeader(text)
	switch {
	case err != nil:
		return nil, err
	case !seeded && len(h.RequiredFeatures) == 0:
		return nil, errors.New("seed is missing")
	}
	return h, h.Validate()
}

// decodeHeader reads the JSON text of a header, of which it doesn't check more
// than types and forms. A seed of 0 is one, too: it tells whether it is there.
func decodeHeader(text []byte) (h *Header, seeded bool, err error) {
	all := struct {
		*Header
		Seed string `json:"seed"`
	}{Header: new(Header)}
	if err := strictjson.Decode(text, &all); err != nil {
		return nil, false, err
	}
	if all.Seed == "" {
		return all.Header, false, nil
	}
	if err := all.Header.Seed.UnmarshalText([]byte(all.Seed)); err != nil {
		return nil, false, fmt.Errorf("JSON: \"seed\": %w", err)
	}
	return all.Header, true, nil
}

// Sum is the xxh64 of b with a seed: the hash of a block, and the base hash of an extent in
// a patch whose base is known by a signature.
func Sum(seed uint64, b []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	d.Write(b)
	return d.Sum64()
}

// A Table is what a signature says of some blocks that follow one another.
type Table struct {
	First int64    // the number of the first block
	Zero  []bool   // for each block, whether it is all zeros
	Sums  []uint64 // for each block its seeded xxh64; 0 if it is all zeros
}

// Len is the number of blocks.
func (t *Table) Len() int { return len(t.Sums) }

// Resize makes room for the blocks from first on, n of them, and forgets the others.
func (t *Table) Resize(first int64, n int) {
	t.First = first
	t.Zero = slices.Grow(t.Zero[:0], n)[:n]
	t.Sums = slices.Grow(t.Sums[:0], n)[:n]
	clear(t.Zero)
	clear(t.Sums)
}

// Set notes what block i of the table holds.
func (t *Table) Set(i int, seed uint64, block []byte, zero bool) {
	if t.Zero[i] = zero; !zero {
		t.Sums[i] = Sum(seed, block)
	}
}

func (t *Table) zeros() (n int) {
	for _, z := range t.Zero {
		if z {
			n++
		}
	}
	return n
}

// append appends the table's bytes to b.
func (t *Table) append(b []byte) []byte {
	b = le.AppendUint64(b, uint64(t.First))     // 0: number of the first block
	b = le.AppendUint32(b, uint32(len(t.Sums))) // 8: number of blocks
	b = le.AppendUint32(b, 0)                   // 12: reserved
	var eight byte
	for i, z := range t.Zero { // 16: a bit a block, the lowest first: it is all zeros
		if z {
			eight |= 1 << (i % 8)
		}
		if i%8 == 7 || i == len(t.Zero)-1 {
			b = append(b, eight)
			eight = 0
		}
	}
	for i, sum := range t.Sums { // then, for each of the others, its hash
		if !t.Zero[i] {
			b = le.AppendUint64(b, sum)
		}
	}
	return b
}

// parse reads the table that content is.
func (t *Table) parse(content []byte) error {
	if len(content) < tableFixedSize {
		return fmt.Errorf("%d bytes, fewer than %d", len(content), tableFixedSize)
	}
	n := le.Uint32(content[8:])
	switch {
	case n == 0 || n > MaxTableBlocks:
		return fmt.Errorf("%d blocks, limit %d", n, MaxTableBlocks)
	case le.Uint32(content[12:]) != 0:
		return errors.New("a reserved field is not 0")
	}
	zeros, sums := content[tableFixedSize:], []byte(nil)
	bitmap := (int(n) + 7) / 8
	if len(zeros) < bitmap {
		return fmt.Errorf("%d blocks do not fit %d bytes", n, len(content))
	}
	zeros, sums = zeros[:bitmap], zeros[bitmap:]
	t.Resize(int64(le.Uint64(content)), int(n))
	for i := range t.Zero {
		t.Zero[i] = zeros[i/8]&(1<<(i%8)) != 0
	}
	if n%8 != 0 && zeros[bitmap-1]>>(n%8) != 0 {
		return errors.New("bits of blocks that are not there")
	}
	if want := (int(n) - t.zeros()) * hashSize; len(sums) != want {
		return fmt.Errorf("hashes of %d bytes, must be %d", len(sums), want)
	}
	for i, z := range t.Zero {
		if !z {
			t.Sums[i] = le.Uint64(sums)
			sums = sums[hashSize:]
		}
	}
	return nil
}

// totals is what the trailer says.
type totals struct {
	tables, blocks, zeros int64
}

func (s totals) marshal(sum uint64) []byte {
	b := frame.AppendHeader(make([]byte, 0, frame.SignatureEndSize),
		frame.SignatureEndSize-frame.HeaderSize)
	b = append(b, frame.SignatureEndMagic...)  // 8: magic
	b = le.AppendUint64(b, uint64(s.tables))   // 16: number of tables
	b = le.AppendUint64(b, uint64(s.blocks))   // 24: number of blocks
	b = le.AppendUint64(b, uint64(s.zeros))    // 32: those that are all zeros
	b = le.AppendUint64(b, sum)                // 40: xxh64 of all before the trailer
	return le.AppendUint64(b, xxhash.Sum64(b)) // 48: xxh64 of the trailer so far
}

// checkTrailer compares a trailer with what was read, and returns the signature's
// checksum.
func (s totals) checkTrailer(b []byte) (sum uint64, err error) {
	const end = frame.SignatureEndSize - frame.SumSize
	switch {
	case le.Uint32(b) != frame.Skippable || string(b[frame.HeaderSize:frame.HeaderSize+len(
		frame.SignatureEndMagic)]) != frame.SignatureEndMagic:
		return 0, fmt.Errorf("not a trailer: it begins with %q", b[:frame.HeaderSize+8])
	case le.Uint32(b[4:]) != frame.SignatureEndSize-frame.HeaderSize:
		return 0, fmt.Errorf("frame of %d bytes, must be %d",
			le.Uint32(b[4:]), frame.SignatureEndSize-frame.HeaderSize)
	case le.Uint64(b[end:]) != xxhash.Sum64(b[:end]):
		return 0, frame.ErrChecksum
	case le.Uint64(b[16:]) != uint64(s.tables) || le.Uint64(b[24:]) != uint64(s.blocks) ||
		le.Uint64(b[32:]) != uint64(s.zeros):
		return 0, errors.New("its totals do not match the tables")
	}
	return le.Uint64(b[40:]), nil
}
