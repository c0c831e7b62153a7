// Package frame has what patches and signatures are built of alike: zstd frames, skippable
// ones for what holds no data, headers with a JSON text, and what can follow the end.
package frame

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// The magic numbers that frames begin with (RFC 8878, section 3.1).
const (
	Skippable = 0x184D2A5D // holds no data: any program that reads zstd steps over it
	Zstd      = 0xFD2FB528 // holds data
)

// What comes behind the header of the first frame, and of the last one.
const (
	PatchMagic        = "LVMPATCH"
	PatchEndMagic     = "LVMTRAIL"
	SignatureMagic    = "LVMSIGNT"
	SignatureEndMagic = "LVMSIGND"
)

// Sizes in bytes; every integer is little-endian.
const (
	HeaderSize = 8  // skippable frame: magic, size of the payload
	HeadFixed  = 16 // head, behind that: our magic, version, length of the JSON text
	SumSize    = 8  // xxh64 of the frame before it

	PatchEndSize     = HeaderSize + 64 // the whole frame that ends a patch
	SignatureEndSize = HeaderSize + 48 // the same of a signature

	MaxJSON = 64 << 10 // the JSON text of a head
)

// Rules that are broken.
var (
	ErrChecksum = errors.New("checksum mismatch")
	ErrVersion0 = errors.New("format version 0 does not exist")
)

var le = binary.LittleEndian

// AppendHeader begins a skippable frame with a payload of size bytes.
func AppendHeader(b []byte, size uint32) []byte {
	b = le.AppendUint32(b, Skippable)
	return le.AppendUint32(b, size)
}

// Is tells whether a skippable frame begins in b, of 16 bytes at least, with that magic of ours.
func Is(b []byte, magic string) bool {
	return le.Uint32(b) == Skippable && string(b[HeaderSize:HeaderSize+len(magic)]) == magic
}

// Head gives the whole frame that a patch or signature begins with.
func Head(magic string, version uint32, text []byte) []byte {
	b := AppendHeader(nil, uint32(HeadFixed+len(text)+SumSize))
	b = append(b, magic...)                    // 8: our magic
	b = le.AppendUint32(b, version)            // 16: format version
	b = le.AppendUint32(b, uint32(len(text)))  // 20: length of the JSON text
	b = append(b, text...)                     // 24: the JSON text
	return le.AppendUint64(b, xxhash.Sum64(b)) // xxh64 of the frame so far
}

// HeadText returns the JSON text of such a frame, whose sizes have been checked.
func HeadText(b []byte) ([]byte, error) {
	sum := len(b) - SumSize
	if le.Uint64(b[sum:]) != xxhash.Sum64(b[:sum]) {
		return nil, ErrChecksum
	}
	text := b[HeaderSize+HeadFixed : sum]
	if !utf8.Valid(text) {
		return nil, errors.New("JSON: not UTF-8")
	}
	return text, nil
}
