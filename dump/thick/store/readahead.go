package store

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Areas lie a chunk times E apart, so each read is a seek: what counts is how many are under way.
// The bounds keep memory flat whatever chunk size a header claims, and a short list on a huge
// device cheap.
const (
	maxPieceBytes  = 1 << 20
	maxPieces      = 32
	maxPiecesBytes = 8 << 20
)

// piece is an area, or 1 MiB of one where chunks are larger.
type piece struct {
	area   int64
	inArea int64 // offset of the piece within its area, bytes
	buf    []byte
	err    error         // of the read
	done   chan struct{} // closed when buf and err are set
}

// readAhead reads the pieces of areas in their order on disk, several at a time, as far as areas
// may be trusted. It is used by one goroutine.
type readAhead struct {
	r             io.ReaderAt
	layout        layout
	pieceBytes    int64
	piecesPerArea int64
	window        int // pieces under way or waiting to be taken

	trusted    int64 // areas that may be read now: zeroed for use, see the package comment
	nextArea   int64 // area of the piece to read next
	nextInArea int64 // its offset within that area, bytes

	queue   []*piece // in order
	free    [][]byte
	reading sync.WaitGroup
}

func newReadAhead(r io.ReaderAt, l layout, trusted int64) *readAhead {
	pieceBytes := min(l.chunkBytes, maxPieceBytes)
	return &readAhead{
		r:             r,
		layout:        l,
		pieceBytes:    pieceBytes,
		piecesPerArea: l.chunkBytes / pieceBytes,
		window:        int(min(maxPieces, maxPiecesBytes/pieceBytes)),
		trusted:       trusted,
	}
}

// trust says that the areas below the given one have been zeroed for use.
func (ra *readAhead) trust(areas int64) { ra.trusted = max(ra.trusted, areas) }

// take returns the next piece, which must be of a trusted area on the device, and keeps the window
// full meanwhile. A failed read is reported only here: what lies beyond the end of the list may be
// unreadable, nobody takes it.
func (ra *readAhead) take(ctx context.Context) (*piece, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read exceptions: %w", err)
	}
	for len(ra.queue) < ra.window && ra.nextArea < min(ra.trusted, ra.layout.areas) {
		ra.start()
	}
	p := ra.queue[0]
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("read exceptions: %w", ctx.Err())
	}
	ra.queue = ra.queue[1:]
	if p.err != nil {
		return nil, fmt.Errorf("read exception area %d at byte %d: %w", p.area, ra.offset(p), p.err)
	}
	return p, nil
}

// start begins to read the next piece.
func (ra *readAhead) start() {
	p := &piece{area: ra.nextArea, inArea: ra.nextInArea, buf: ra.buffer(),
		done: make(chan struct{})}
	if ra.nextInArea += ra.pieceBytes; ra.nextInArea == ra.layout.chunkBytes {
		ra.nextArea, ra.nextInArea = ra.nextArea+1, 0
	}
	ra.queue = append(ra.queue, p)
	ra.reading.Go(func() {
		p.err = readFull(ra.r, p.buf, ra.offset(p))
		close(p.done)
	})
}

// offset returns the place of a piece on the device.
func (ra *readAhead) offset(p *piece) int64 { return ra.layout.areaOffset(p.area) + p.inArea }

// buffer returns memory for a piece. The allocator aligns sizes that are a power of two to at least
// 4096 bytes where they are that large, so a direct read needs no copy.
func (ra *readAhead) buffer() []byte {
	if n := len(ra.free); n > 0 {
		b := ra.free[n-1]
		ra.free = ra.free[:n-1]
		return b
	}
	return make([]byte, ra.pieceBytes)
}

// release gives a taken piece's memory back.
func (ra *readAhead) release(p *piece) { ra.free = append(ra.free, p.buf) }

// wait returns when no read is under way any more; a read can't be interrupted, and the caller may
// close the device next.
func (ra *readAhead) wait() { ra.reading.Wait() }
