package format

import (
	"bytes"
	"io"

	"lvmsync/format/internal/frame"
)

// OnDevice marks, for [NewReader] and the reader of signatures, an input that goes on behind
// the end of the patch or signature, as a block device does: they stop at the trailer.
func OnDevice(r io.Reader) io.Reader { return frame.OnDevice(r) }

// End tells where a trailer ends that is the last of the size bytes in r: right or damaged;
// only a right one can have zeros behind it, to the end of a sector, for zeros can be what a
// crash has left of the rest. It's false if there is none.
func End(r io.ReaderAt, size int64) (end int64, ok bool) {
	if frame.Ends(r, size, frame.PatchEndMagic, frame.PatchEndSize) {
		return size, true
	}
	if size%SectorSize != 0 {
		return 0, false
	}
	last := lastByte(r, size)
	from := max(0, last-frame.PatchEndSize)
	b := make([]byte, min(2*frame.PatchEndSize, size-from)) // its own last bytes may be zeros
	if n, _ := r.ReadAt(b, from); n < len(b) {
		return 0, false
	}
	i := bytes.LastIndex(b, []byte(frame.PatchEndMagic)) - frame.HeaderSize
	if i < 0 || len(b)-i < frame.PatchEndSize {
		return 0, false
	}
	if _, err := parseTrailer(b[i : i+frame.PatchEndSize]); err != nil {
		return 0, false
	}
	return from + int64(i) + frame.PatchEndSize, true
}

// TornTrailer tells where a trailer begins that is the last of the size bytes in r and is damaged
// itself, as a crash leaves it that met the writing of it. It's false if there is none.
func TornTrailer(r io.ReaderAt, size int64) (from int64, ok bool) {
	if end, is := End(r, size); !is || end != size {
		return 0, false
	}
	_, right := ReadSum(r, size)
	return size - frame.PatchEndSize, !right
}

// lastByte is the end of the last byte in r that isn't zero.
func lastByte(r io.ReaderAt, size int64) int64 {
	b := make([]byte, min(size, 256<<10))
	for size > 0 {
		part := b[:min(int64(len(b)), size)]
		if n, _ := r.ReadAt(part, size-int64(len(part))); n < len(part) {
			break
		}
		if n := len(bytes.TrimRight(part, "\x00")); n > 0 {
			return size - int64(len(part)-n)
		}
		size -= int64(len(part))
	}
	return size
}
