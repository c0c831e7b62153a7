package format

import (
	"encoding/binary"

	"lvmsync/format/internal/frame"
)

// Version is the format version that this package writes, and the newest that
// it reads.
const Version = 1

// Limits of the format (docs/format.md, "Limits"). A reader refuses a patch that
// exceeds one, before it allocates memory for it.
const (
	// SectorSize is the alignment, in bytes, of every extent's start, and of
	// its end unless that is the end of the volume.
	SectorSize = 512
	// MaxSegmentData is the largest number of bytes of data in one segment.
	MaxSegmentData = 4 << 20
	// MaxSegmentExtents is the largest number of extents in one segment.
	MaxSegmentExtents = 8192
)

// Sizes of the fixed parts, in bytes; every integer is little-endian.
const (
	tableHeaderSize  = 8  // "Segment": extent count, reserved
	extentSize       = 40 // "Segment": one entry of the table
	indexFixedSize   = 16 // "Index": magic, count
	indexEntrySize   = 24
	maxSkippableSize = 1<<32 - 1
)

const (
	indexMagic = "LVMINDEX"
)

var le = binary.LittleEndian

// A segment and its frame may be as large as package frame says.
const (
	maxContent = tableHeaderSize + MaxSegmentExtents*extentSize + MaxSegmentData
	_          = -uint(frame.MaxContent ^ maxContent)
)
