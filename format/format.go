package format

import "encoding/binary"

// Version is the format version that this package writes, and the newest that
// it reads.
const Version = 1

// Limits of the format (docs/format.md, "Limits"). A reader refuses a patch that
// exceeds one, before it allocates memory for it.
const (
	// SectorSize is the alignment, in bytes, of every extent's start, and of
	// its end unless that is the end of the volume.
	SectorSize = 512
	// maxHeaderJSON is the largest size of the header's JSON text, in bytes.
	maxHeaderJSON = 64 << 10
	// MaxSegmentData is the largest number of bytes of data in one segment.
	MaxSegmentData = 4 << 20
	// MaxSegmentExtents is the largest number of extents in one segment.
	MaxSegmentExtents = 8192
	// maxSegmentContent is the largest size of a segment before compression:
	// table and data, in bytes.
	maxSegmentContent = tableHeaderSize + MaxSegmentExtents*extentSize + MaxSegmentData
	// maxSegmentFrame is the largest size of a segment's zstd frame, in bytes.
	// It exceeds maxSegmentContent because what can't be compressed grows.
	maxSegmentFrame = maxSegmentContent + 64<<10
	// maxSegmentWindow is the largest zstd window that a segment may ask for,
	// in bytes.
	maxSegmentWindow = 8 << 20
)

// Sizes of the fixed parts, in bytes; every integer is little-endian.
const (
	frameHeaderSize  = 8  // skippable frame: magic, size of the payload
	headerFixedSize  = 16 // "Header": our magic, version, JSON length
	checksumSize     = 8
	tableHeaderSize  = 8  // "Segment": extent count, reserved
	extentSize       = 40 // "Segment": one entry of the table
	indexFixedSize   = 16 // "Index": magic, count
	indexEntrySize   = 24
	trailerSize      = frameHeaderSize + 64 // "Trailer": the whole frame
	maxSkippableSize = 1<<32 - 1
)

// skippableMagic starts each frame that holds no data. Any program that reads
// zstd steps over such frames (RFC 8878, section 3.1.2).
const skippableMagic = 0x184D2A5D

// zstdMagic starts a zstd frame (RFC 8878, section 3.1.1).
const zstdMagic = 0xFD2FB528

const (
	headerMagic  = "LVMPATCH"
	indexMagic   = "LVMINDEX"
	trailerMagic = "LVMTRAIL"
)

var le = binary.LittleEndian

// appendFrameHeader begins a skippable frame with a payload of size bytes.
func appendFrameHeader(b []byte, size uint32) []byte {
	b = le.AppendUint32(b, skippableMagic)
	return le.AppendUint32(b, size)
}
