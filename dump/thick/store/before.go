package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// Before is the volume as it was when the snapshot was made: the old chunks, which
// the store has, and all others from the origin. It may be used concurrently.
type Before struct {
	store  *Store
	origin io.ReaderAt
	size   int64 // of the snapshot, bytes
	old    *roaring64.Bitmap
	// places has the new chunk of each old one, in the order of old: 8 bytes an
	// exception.
	places []uint64
}

// Before reads the list once more for the places of the old chunks, which old, the
// result of Exceptions, names. The store must not be in use: what is listed later
// than old is not seen.
func (s *Store) Before(ctx context.Context, origin io.ReaderAt, volumeSize int64,
	old *roaring64.Bitmap) (*Before, error) {
	b := &Before{store: s, origin: origin, size: volumeSize, old: old,
		places: make([]uint64, old.GetCardinality())}
	buf := make([]byte, min(s.layout.chunkBytes, maxPieceBytes))
	left := len(b.places)
	for area := int64(0); left > 0 && area < s.layout.areas; area++ {
		for at := int64(0); left > 0 && at < s.layout.chunkBytes; at += int64(len(buf)) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			off := s.layout.areaOffset(area) + at
			if err := readFull(s.r, buf, off); err != nil {
				return nil, fmt.Errorf("read exception area %d at byte %d: %w", area, off, err)
			}
			left -= b.take(buf[:min(len(buf), left*entryBytes)])
		}
	}
	if left > 0 {
		return nil, corruptHeader("the list has become shorter by %d exceptions", left)
	}
	return b, nil
}

// take notes the places in a part of the list and returns how many there are.
func (b *Before) take(list []byte) int {
	for at := 0; at < len(list); at += entryBytes {
		if chunk := binary.LittleEndian.Uint64(list[at:]); b.old.Contains(chunk) {
			b.places[b.old.Rank(chunk)-1] = binary.LittleEndian.Uint64(list[at+8:])
		}
	}
	return len(list) / entryBytes
}

// Size is the size of the snapshot in bytes.
func (b *Before) Size() int64 { return b.size }

// WillNeed does nothing: what is read next lies anywhere.
func (b *Before) WillNeed(off, n int64) {}

// ReadAt implements [io.ReaderAt].
func (b *Before) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= b.size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), b.size-off))
	for n := 0; n < want; {
		m, err := b.readChunk(p[n:want], off+int64(n))
		n += m
		if err != nil {
			return n, err
		}
	}
	if want < len(p) {
		return want, io.EOF
	}
	return want, nil
}

// readChunk reads what lies in the chunk that off is in.
func (b *Before) readChunk(p []byte, off int64) (int, error) {
	size := b.store.ChunkSize()
	chunk, within := uint64(off/size), off%size
	p = p[:min(int64(len(p)), size-within)]
	in, at := b.origin, off
	if b.old.Contains(chunk) {
		in, at = b.store.r, int64(b.places[b.old.Rank(chunk)-1])*size+within
	}
	if err := readFull(in, p, at); err != nil {
		return 0, err
	}
	return len(p), nil
}
