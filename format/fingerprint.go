package format

import (
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format/internal/strictjson"
)

const (
	// SampleSize is the length of a fingerprint's samples in bytes.
	SampleSize = 4096
	// MaxSamples is the largest number of samples in a fingerprint.
	MaxSamples = 256
)

// A Fingerprint is a sample of what a delta leaves as it is: blocks of the base
// outside the delta's extents. A destination that does not hold them is no copy
// of the base.
type Fingerprint []Sample

// A Sample is the hash of SampleSize bytes of the base.
type Sample struct {
	Offset int64 `json:"offset"` // first byte in the volume
	Hash   Hash  `json:"hash"`
}

// UnmarshalJSON implements [json.Unmarshaler]: a sample has both of its names.
func (s *Sample) UnmarshalJSON(text []byte) error {
	var sample struct {
		Offset *int64 `json:"offset"`
		Hash   string `json:"hash"`
	}
	err := strictjson.DecodeInner(text, &sample)
	switch {
	case err != nil:
		return err
	case sample.Offset == nil:
		return strictjson.ValueError("a sample without offset")
	case sample.Hash == "":
		return strictjson.ValueError("a sample without hash")
	}
	s.Offset = *sample.Offset
	s.Hash, err = parseHash(sample.Hash)
	return err
}

// Holds tells whether block, which is SampleSize bytes long, is what was sampled.
func (s Sample) Holds(block []byte) bool { return xxhash.Sum64(block) == uint64(s.Hash) }

// A Hash is an xxh64. In JSON it is a string of 16 hexadecimal digits, for most
// programs read numbers of JSON to 53 bits only.
type Hash uint64

// MarshalText implements [encoding.TextMarshaler].
func (h Hash) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(h)), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *Hash) UnmarshalText(text []byte) error {
	n, err := parseHash(string(text))
	if err == nil {
		*h = n
	}
	return err
}

func parseHash(text string) (Hash, error) {
	n, err := strconv.ParseUint(text, 16, 64)
	if err != nil || len(text) != 16 {
		return 0, strictjson.ValueError(fmt.Sprintf("%.60q is not 16 hexadecimal digits", text))
	}
	return Hash(n), nil
}

// Validate checks what the format demands of the fingerprint of a volume of that size.
func (f Fingerprint) Validate(volumeSize int64) error {
	if len(f) > MaxSamples {
		return fmt.Errorf("fingerprint of %d samples, limit %d", len(f), MaxSamples)
	}
	end := int64(0)
	for _, s := range f {
		switch {
		case s.Offset < end || s.Offset%SectorSize != 0:
			return fmt.Errorf("sample at offset %d is unaligned, overlaps the one before "+
				"or is out of order", s.Offset)
		case s.Offset > volumeSize-SampleSize:
			return fmt.Errorf("sample at offset %d reaches past the end of the volume, %d bytes",
				s.Offset, volumeSize)
		}
		end = s.Offset + SampleSize
	}
	return nil
}
