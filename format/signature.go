package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"
)

// SignatureVersion is the version of the signature format that this package writes
// and reads (docs/signature.md).
const SignatureVersion = 1

// Limits of a signature.
const (
	MinBlockSize     = SectorSize // smallest block that is hashed, in bytes
	MaxBlockSize     = 1 << 20    // largest
	MaxTableBlocks   = 1 << 16    // blocks in a table
	maxTableContent  = tableFixedSize + MaxTableBlocks/8 + MaxTableBlocks*hashSize
	tableFixedSize   = 16 // first block, count, reserved
	hashSize         = 8
	signatureEndSize = frameHeaderSize + 48 // the whole trailer frame
)

const (
	signatureMagic    = "LVMSIGNT"
	signatureEndMagic = "LVMSIGND"
)

// A SignatureHeader describes a signature: the hashes of a volume's blocks. Its JSON
// names are the format's (docs/signature.md, "Header").
type SignatureHeader struct {
	ID          uuid.UUID `json:"id"`           // of this signature
	Created     time.Time `json:"created"`      // when the reading began
	Tool        string    `json:"tool"`         // program that wrote it
	ToolVersion string    `json:"tool_version"` // and its version
	Host        string    `json:"host"`         // name of the machine it ran on
	Source      Source    `json:"source"`       // what was read
	VolumeSize  int64     `json:"volume_size"`  // its size in bytes, at least 1
	BlockSize   int64     `json:"block_size"`   // what each hash is of, in bytes: a power of two
	// Seed is that of the hashes. It is random, so that what one signature does not
	// show by accident, the next one does.
	Seed Hash `json:"seed"`
	// Fingerprint is a sample of the volume, with hashes without seed.
	Fingerprint Fingerprint `json:"fingerprint,omitempty"`
	// RequiredFeatures names what a reader must know beyond version 1.
	RequiredFeatures []string `json:"required_features,omitempty"`
}

// Blocks is the number of the volume's blocks, the last perhaps not whole.
func (h *SignatureHeader) Blocks() int64 {
	return h.VolumeSize/h.BlockSize + min(h.VolumeSize%h.BlockSize, 1)
}

// IsBlockSize tells whether blocks of n bytes can be hashed.
func IsBlockSize(n int64) bool {
	return n >= MinBlockSize && n <= MaxBlockSize && bits.OnesCount64(uint64(n)) == 1
}

// Validate checks what version 1 demands.
func (h *SignatureHeader) Validate() error {
	switch {
	case len(h.RequiredFeatures) > 0: // which may explain what else is strange
		return fmt.Errorf("%w %.60q", ErrFeature, h.RequiredFeatures[0])
	case h.ID == uuid.Nil:
		return errors.New("id is missing")
	case h.VolumeSize < 1:
		return fmt.Errorf("volume size of %d bytes is out of range", h.VolumeSize)
	case !IsBlockSize(h.BlockSize):
		return fmt.Errorf("block size of %d bytes is no power of two within %d to %d", h.BlockSize, MinBlockSize, MaxBlockSize)
	}
	return h.Fingerprint.validate(h.VolumeSize)
}

// marshal gives the whole header frame. It is built like a patch's.
func (h *SignatureHeader) marshal() ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("signature header: %w", err)
	}
	text, err := json.Marshal(h)
	if err == nil && len(text) > maxHeaderJSON {
		err = fmt.Errorf("%d bytes of JSON, limit %d", len(text), maxHeaderJSON)
	}
	if err == nil {
		_, _, err = decodeSignatureHeader(text) // what can't be read must not go out
	}
	if err != nil {
		return nil, fmt.Errorf("signature header: %w", err)
	}
	b := appendFrameHeader(nil, uint32(headerFixedSize+len(text)+checksumSize))
	b = append(b, signatureMagic...)                // 8: magic
	b = le.AppendUint32(b, SignatureVersion)        // 16: format version
	b = le.AppendUint32(b, uint32(len(text)))       // 20: length of the JSON text
	b = append(b, text...)                          // 24: the JSON text
	return le.AppendUint64(b, xxhash.Sum64(b)), nil // xxh64 of the frame so far
}

// parseSignatureHeader reads the frame b, whose sizes have been checked.
func parseSignatureHeader(b []byte) (*SignatureHeader, error) {
	sum := len(b) - checksumSize
	if le.Uint64(b[sum:]) != xxhash.Sum64(b[:sum]) {
		return nil, errChecksum
	}
	text := b[frameHeaderSize+headerFixedSize : sum]
	if !utf8.Valid(text) {
		return nil, errors.New("JSON: not UTF-8")
	}
	h, seeded, err := decodeSignatureHeader(text)
	switch {
	case err != nil:
		return nil, err
	case !seeded && len(h.RequiredFeatures) == 0:
		return nil, errors.New("seed is missing")
	}
	return h, h.Validate()
}

// decodeSignatureHeader reads the JSON text of a header, of which it doesn't check more
// than types and forms. A seed of 0 is one, too: it tells whether it is there.
func decodeSignatureHeader(text []byte) (h *SignatureHeader, seeded bool, err error) {
	all := struct {
		*SignatureHeader
		Seed string `json:"seed"`
	}{SignatureHeader: new(SignatureHeader)}
	if err := decodeJSON(text, &all); err != nil {
		return nil, false, err
	}
	if all.Seed == "" {
		return all.SignatureHeader, false, nil
	}
	if all.SignatureHeader.Seed, err = parseHash(all.Seed); err != nil {
		return nil, false, fmt.Errorf("JSON: \"seed\": %w", err)
	}
	return all.SignatureHeader, true, nil
}

// A SignatureTable is what a signature says of some blocks that follow one another.
type SignatureTable struct {
	First int64    // the number of the first block
	Zero  []bool   // for each block, whether it is all zeros
	Sums  []uint64 // for each block its seeded xxh64; 0 if it is all zeros
}

// Len is the number of blocks.
func (t *SignatureTable) Len() int { return len(t.Sums) }

// Resize makes room for the blocks from first on, n of them, and forgets the others.
func (t *SignatureTable) Resize(first int64, n int) {
	t.First = first
	t.Zero = slices.Grow(t.Zero[:0], n)[:n]
	t.Sums = slices.Grow(t.Sums[:0], n)[:n]
	clear(t.Zero)
	clear(t.Sums)
}

// Set notes what block i of the table holds.
func (t *SignatureTable) Set(i int, seed uint64, block []byte, zero bool) {
	if t.Zero[i] = zero; !zero {
		t.Sums[i] = SeededSum(seed, block)
	}
}

func (t *SignatureTable) zeros() (n int) {
	for _, z := range t.Zero {
		if z {
			n++
		}
	}
	return n
}

// append appends the table's bytes to b.
func (t *SignatureTable) append(b []byte) []byte {
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
func (t *SignatureTable) parse(content []byte) error {
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

// signatureTotals is what the trailer says.
type signatureTotals struct {
	tables, blocks, zeros int64
}

func (s signatureTotals) marshal(sum uint64) []byte {
	b := appendFrameHeader(make([]byte, 0, signatureEndSize), signatureEndSize-frameHeaderSize)
	b = append(b, signatureEndMagic...)        // 8: magic
	b = le.AppendUint64(b, uint64(s.tables))   // 16: number of tables
	b = le.AppendUint64(b, uint64(s.blocks))   // 24: number of blocks
	b = le.AppendUint64(b, uint64(s.zeros))    // 32: those that are all zeros
	b = le.AppendUint64(b, sum)                // 40: xxh64 of all before the trailer
	return le.AppendUint64(b, xxhash.Sum64(b)) // 48: xxh64 of the trailer so far
}

// checkTrailer compares a trailer with what was read, and returns the signature's
// checksum.
func (s signatureTotals) checkTrailer(b []byte) (sum uint64, err error) {
	const end = signatureEndSize - checksumSize
	switch {
	case le.Uint32(b) != skippableMagic || string(b[frameHeaderSize:frameHeaderSize+len(signatureEndMagic)]) != signatureEndMagic:
		return 0, fmt.Errorf("not a trailer: it begins with %q", b[:frameHeaderSize+8])
	case le.Uint32(b[4:]) != signatureEndSize-frameHeaderSize:
		return 0, fmt.Errorf("frame of %d bytes, must be %d", le.Uint32(b[4:]), signatureEndSize-frameHeaderSize)
	case le.Uint64(b[end:]) != xxhash.Sum64(b[:end]):
		return 0, errChecksum
	case le.Uint64(b[16:]) != uint64(s.tables) || le.Uint64(b[24:]) != uint64(s.blocks) || le.Uint64(b[32:]) != uint64(s.zeros):
		return 0, errors.New("its totals do not match the tables")
	}
	return le.Uint64(b[40:]), nil
}
