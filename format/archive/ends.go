package archive

import (
	"context"
	"errors"
	"io"
	"sync"
)

// endsRead is how much of each end of a file is read at once: mostly all that is looked at.
const endsRead = 4 << 10

// maxBetween is how much is read of a file besides: a long header, or zeros behind a patch that a
// crash has left. Nobody waits for a terabyte of them.
const maxBetween = 64 << 20

var errTooLong = errors.New("too much of it would have to be read")

// ends hands on what a file has at both ends, which have been read at once.
type ends struct {
	ctx        context.Context
	f          io.ReaderAt
	head, tail []byte
	at         int64 // where the tail begins
	left       int64 // of maxBetween
	buffer     *[2 * endsRead]byte
}

var endsBuffers = sync.Pool{New: func() any { return new([2 * endsRead]byte) }}

// endsOf reads both ends of a file of size bytes. What can't be read is left to ReadAt.
func endsOf(ctx context.Context, f io.ReaderAt, size int64) *ends {
	buffer := endsBuffers.Get().(*[2 * endsRead]byte)
	e := &ends{ctx: ctx, f: f, at: size, left: maxBetween, buffer: buffer}
	b := buffer[:min(size, 2*endsRead)]
	if size <= int64(len(buffer)) {
		n, _ := f.ReadAt(b, 0)
		e.head = b[:n]
		return e
	}
	n, _ := f.ReadAt(b[:endsRead], 0)
	e.head = b[:n]
	if n, _ = f.ReadAt(b[endsRead:], size-endsRead); n == endsRead {
		e.tail, e.at = b[endsRead:], size-endsRead
	}
	return e
}

// release gives the memory back, once nobody reads any more.
func (e *ends) release() { endsBuffers.Put(e.buffer) }

// ReadAt implements [io.ReaderAt].
func (e *ends) ReadAt(b []byte, off int64) (int, error) {
	switch end := off + int64(len(b)); {
	case end <= int64(len(e.head)):
		return copy(b, e.head[off:]), nil
	case off >= e.at && end <= e.at+int64(len(e.tail)):
		return copy(b, e.tail[off-e.at:]), nil
	case e.ctx.Err() != nil:
		return 0, e.ctx.Err()
	case int64(len(b)) > e.left:
		return 0, errTooLong
	}
	e.left -= int64(len(b))
	return e.f.ReadAt(b, off)
}
