package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// AllAreas, given as initialisedAreas, says that nobody writes the store: a copy, or the store of
// an inactive snapshot.
const AllAreas = math.MaxInt64

// Exceptions reads the list and returns the set of old chunks: those which were written, on the
// origin or the snapshot, since the snapshot was made. Chunk c is bytes [c*ChunkSize,
// (c+1)*ChunkSize) of the volume; the last one may reach past its end.
//
// volumeSize is the size of the snapshot in bytes; an old chunk beyond it is corruption.
//
// initialisedAreas is the number of areas, from area 0 on, that are known to have been zeroed for
// use before the call. These are read many at a time, the others only one after another, each when
// the one before has been seen full. For a live snapshot it is the metadata space that the kernel
// reports, in chunks, less one for the header, taken before the call; for a store that nobody
// writes it is [AllAreas]. A number too low costs time only, one too high can yield chunks of an
// earlier snapshot. Area 0 always counts as zeroed.
//
// Every entry is checked: its new chunk must be one that the kernel hands out, its old chunk inside
// the volume and listed once. A violation is a [*CorruptError]. The validity of the list is as of
// Open: call [Store.CheckValid] afterwards. Exceptions stops when ctx is cancelled, and no read is
// under way any more when it returns. On an error the bitmap is nil.
func (s *Store) Exceptions(ctx context.Context,
	volumeSize, initialisedAreas int64) (*roaring64.Bitmap, error) {
	if volumeSize < 0 {
		return nil, fmt.Errorf("read exceptions: volume size %d is negative", volumeSize)
	}
	old, err := s.exceptions(ctx, volumeSize, initialisedAreas, false)
	if errors.Is(err, errTwice) { // once more, to tell where
		old, err = s.exceptions(ctx, volumeSize, initialisedAreas, true)
	}
	return old, err
}

// exceptions reads the list, each entry for itself if eachChecked is set.
func (s *Store) exceptions(ctx context.Context, volumeSize, initialisedAreas int64,
	eachChecked bool) (*roaring64.Bitmap, error) {
	list := &exceptionList{
		layout:       s.layout,
		volumeChunks: chunksOf(volumeSize, s.layout.chunkBytes),
		old:          roaring64.New(),
		batch:        make([]uint64, 0, minBatch),
		eachChecked:  eachChecked,
	}
	ahead := newReadAhead(s.r, s.layout, max(initialisedAreas, 1))
	defer ahead.wait()
	for area := int64(0); area < s.layout.areas; area++ {
		full, err := list.addArea(ctx, ahead)
		if err != nil {
			return nil, err
		}
		if !full {
			return list.old, list.merge()
		}
		ahead.trust(area + 2) // a full area is written only once the next has been zeroed
	}
	return nil, s.runsPastEnd()
}

// runsPastEnd is the error for a last area on the device that is full. The kernel can't leave this
// behind: it zeroes the next area first, and if that fails it doesn't write the full one but marks
// the store invalid. So the device was cut.
func (s *Store) runsPastEnd() error {
	last := s.layout.areas - 1
	return &CorruptError{
		Area: last, Entry: -1, Offset: s.layout.areaOffset(last),
		Err: fmt.Errorf("it is full, and the area to go on in lies past the device's end at "+
			"byte %d: truncated?", s.size),
	}
}

// chunksOf returns the number of chunks that size bytes take, the last perhaps in part.
func chunksOf(size, chunkBytes int64) uint64 {
	return uint64(size/chunkBytes + min(size%chunkBytes, 1))
}

// exceptionList collects the old chunks of a store's areas, in their order on disk.
type exceptionList struct {
	layout       layout
	volumeChunks uint64
	old          *roaring64.Bitmap
	eachChecked  bool

	// batch holds old chunks on their way to the set. To add them one by one, in the order of the
	// list, which is any, costs several times as much as to read them.
	batch []uint64
}

// The smallest and the largest batch, in old chunks: of 8 bytes, before they are added. In between
// it's a part of the set, for to add a batch takes as long as to walk through the set.
const (
	minBatch  = 128 << 10
	maxBatch  = 1 << 20
	batchPart = 8
)

// errTwice means that an old chunk is listed twice, somewhere.
var errTwice = errors.New("an old chunk is listed twice")

// merge adds the batch to the set.
func (l *exceptionList) merge() error {
	slices.Sort(l.batch)
	added := roaring64.New()
	added.AddMany(l.batch)
	want := l.old.GetCardinality() + uint64(len(l.batch))
	l.old.Or(added)
	if l.old.GetCardinality() != want {
		return errTwice
	}
	l.batch = slices.Grow(l.batch[:0], int(min(want/batchPart, maxBatch)))
	return nil
}

// addArea takes the next area's pieces and reports whether the area is full.
func (l *exceptionList) addArea(ctx context.Context, ahead *readAhead) (full bool, err error) {
	for range ahead.piecesPerArea {
		p, err := ahead.take(ctx)
		if err != nil {
			return false, err
		}
		more, err := l.addPiece(p)
		ahead.release(p)
		if !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

// addPiece adds the entries of a piece and reports whether the list goes on after it.
func (l *exceptionList) addPiece(p *piece) (more bool, err error) {
	for at := 0; at < len(p.buf); at += entryBytes {
		oldChunk := binary.LittleEndian.Uint64(p.buf[at:])
		newChunk := binary.LittleEndian.Uint64(p.buf[at+8:])
		if newChunk == 0 {
			return false, nil
		}
		if err := l.add(oldChunk, newChunk); err != nil {
			inArea := p.inArea + int64(at)
			return false, &CorruptError{
				Area: p.area, Entry: inArea / entryBytes,
				Offset: l.layout.areaOffset(p.area) + inArea, Err: err,
			}
		}
	}
	return true, nil
}

// add checks one entry and adds it. Both numbers are as read: up to 2^64-1.
func (l *exceptionList) add(oldChunk, newChunk uint64) error {
	switch {
	case newChunk >= uint64(l.layout.chunks):
		return fmt.Errorf("new chunk %d is past the device's end (%d whole chunks)",
			newChunk, l.layout.chunks)
	case l.layout.isArea(newChunk):
		return fmt.Errorf("new chunk %d is the place of an exception area", newChunk)
	case oldChunk >= l.volumeChunks:
		return fmt.Errorf("old chunk %d is past the volume's end (%d chunks)",
			oldChunk, l.volumeChunks)
	case l.eachChecked && !l.old.CheckedAdd(oldChunk):
		return fmt.Errorf("old chunk %d is listed twice", oldChunk)
	case l.eachChecked:
		return nil
	}
	if l.batch = append(l.batch, oldChunk); len(l.batch) == cap(l.batch) {
		return l.merge()
	}
	return nil
}
