package format

import (
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format/internal/frame"
)

// Totals count what a patch holds.
type Totals struct {
	Segments  int64
	Extents   int64 // of both kinds
	DataBytes int64 // length of the data extents
	ZeroBytes int64 // length of the zero extents
}

// Bytes is the length of all extents.
func (t Totals) Bytes() int64 { return t.DataBytes + t.ZeroBytes }

// Add counts a segment with these records.
func (t *Totals) Add(records []Record) {
	t.Segments++
	t.Extents += int64(len(records))
	for _, r := range records {
		if r.Kind == Zero {
			t.ZeroBytes += r.Len
		} else {
			t.DataBytes += r.Len
		}
	}
}

// A trailer ends a patch (docs/format.md, "Trailer").
type trailer struct {
	Totals
	index    int64  // place of the index frame in the patch
	patchSum uint64 // xxh64 of everything before the trailer frame
}

func (t trailer) marshal() []byte {
	b := frame.AppendHeader(make([]byte, 0, frame.PatchEndSize),
		frame.PatchEndSize-frame.HeaderSize)
	b = append(b, frame.PatchEndMagic...)       // 8: magic
	b = le.AppendUint64(b, uint64(t.Segments))  // 16: number of segments
	b = le.AppendUint64(b, uint64(t.Extents))   // 24: number of extents
	b = le.AppendUint64(b, uint64(t.DataBytes)) // 32: bytes in data extents
	b = le.AppendUint64(b, uint64(t.ZeroBytes)) // 40: bytes in zero extents
	b = le.AppendUint64(b, uint64(t.index))     // 48: place of the index
	b = le.AppendUint64(b, t.patchSum)          // 56: xxh64 of all before the trailer
	return le.AppendUint64(b, xxhash.Sum64(b))  // 64: xxh64 of the trailer so far
}

// parseTrailer reads the frame.PatchEndSize bytes of b.
func parseTrailer(b []byte) (trailer, error) {
	const sum = frame.PatchEndSize - frame.SumSize
	switch {
	case !frame.Is(b, frame.PatchEndMagic):
		return trailer{}, fmt.Errorf("not a trailer: it begins with %q", b[:frame.HeaderSize+8])
	case le.Uint32(b[4:]) != frame.PatchEndSize-frame.HeaderSize:
		return trailer{}, fmt.Errorf("frame of %d bytes, must be %d",
			le.Uint32(b[4:]), frame.PatchEndSize-frame.HeaderSize)
	case le.Uint64(b[sum:]) != xxhash.Sum64(b[:sum]):
		return trailer{}, frame.ErrChecksum
	}
	t := trailer{
		Totals: Totals{
			Segments:  int64(le.Uint64(b[16:])),
			Extents:   int64(le.Uint64(b[24:])),
			DataBytes: int64(le.Uint64(b[32:])),
			ZeroBytes: int64(le.Uint64(b[40:])),
		},
		index:    int64(le.Uint64(b[48:])),
		patchSum: le.Uint64(b[56:]),
	}
	if t.Segments|t.Extents|t.DataBytes|t.ZeroBytes|t.index < 0 {
		return trailer{}, errors.New("a number exceeds 2^63-1")
	}
	return t, nil
}

// check compares the totals with what the header says.
func (t Totals) check(h *Header) error {
	switch {
	case t.DataBytes > h.VolumeSize || t.ZeroBytes > h.VolumeSize-t.DataBytes:
		return fmt.Errorf("extents of %d and %d bytes exceed the volume, %d bytes",
			t.DataBytes, t.ZeroBytes, h.VolumeSize)
	case h.Kind == Full && t.Bytes() != h.VolumeSize:
		return fmt.Errorf("a full patch holds %d of %d bytes", t.Bytes(), h.VolumeSize)
	case h.Planned != nil && t.Bytes() > h.Planned.Bytes,
		h.Planned != nil && t.Bytes() < h.Planned.Bytes && !h.exact():
		return fmt.Errorf("the header announces %d bytes, the extents hold %d",
			h.Planned.Bytes, t.Bytes())
	}
	return nil
}
