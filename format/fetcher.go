package format

import (
	"bufio"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"lvmsync/format/internal/frame"
)

// A fetcher reads the frames of a patch one after another for a Reader, and has
// them decompressed.
type fetcher struct {
	in       *bufio.Reader
	onDevice bool           // anything may follow the trailer
	offset   int64          // bytes read
	count    int64          // segments read
	sum      *xxhash.Digest // of the bytes read
	dec      *zstd.Decoder

	queue  chan<- fetched // in order, to Next
	work   chan *body     // to the workers
	frames chan []byte    // to be used again
	pool   *Pool
	quit   <-chan struct{}
	sums   bool // frames are summed up
}

func (f *fetcher) start(workers int) {
	f.work = make(chan *body, 1)
	f.frames = make(chan []byte, workers+2) // those of work, one in each worker, and the next
	for range workers {
		go f.decompress()
	}
	go f.run()
}

// run reads until the patch ends, breaks, or nobody wants it.
func (f *fetcher) run() {
	defer close(f.work)
	for {
		select {
		case <-f.pool.free:
		case <-f.quit:
			return
		}
		b := f.pool.take()
		if b == nil {
			b = &body{ready: make(chan struct{}, 1)}
		}
		b.err = nil
		end, err := f.fetch(b)
		select {
		case f.queue <- fetched{b, err, end}:
		case <-f.quit:
			return
		}
		if err != nil {
			return
		}
		f.work <- b
	}
}

// fetch reads the next segment's frame, or the end of the patch, which is io.EOF.
func (f *fetcher) fetch(b *body) (*patchEnd, error) {
	magic, err := f.in.Peek(4)
	if len(magic) < 4 {
		return nil, partError("segment or index", f.offset, len(magic), err)
	}
	switch le.Uint32(magic) {
	case frame.Zstd:
		return nil, f.fetchSegment(b)
	case frame.Skippable:
		end, err := f.fetchEnd()
		if err == nil {
			err = io.EOF
		}
		return end, err
	}
	return nil, corrupt("segment", f.offset, "neither a segment nor the index begins with %q",
		magic)
}

func (f *fetcher) fetchSegment(b *body) error {
	b.offset = f.offset
	var buf []byte
	select {
	case buf = <-f.frames:
	default:
	}
	fr, err := frame.Read(f.in, buf)
	b.frame, b.content = fr.Bytes, fr.Content
	if err != nil {
		return partError("segment", f.offset, len(fr.Bytes), err)
	}
	f.sum.Write(fr.Bytes)
	f.offset += int64(len(fr.Bytes))
	f.count++
	return nil
}

// fetchEnd reads index and trailer and checks what follows.
func (f *fetcher) fetchEnd() (*patchEnd, error) {
	end := &patchEnd{entries: xxhash.New()}
	n := countWriter{f.sum, 0}
	err := readIndex(io.TeeReader(f.in, &n), f.checkCount, end.add)
	if err != nil {
		return nil, partError("index", f.offset, int(n.n), err)
	}
	index := f.offset
	f.offset += n.n
	end.offset = f.offset
	b := make([]byte, frame.PatchEndSize)
	if got, err := io.ReadFull(f.in, b); err != nil {
		return nil, partError("trailer", f.offset, got, err)
	}
	if end.trailer, err = parseTrailer(b); err != nil {
		return nil, corrupt("trailer", f.offset, "%w", err)
	}
	switch {
	case end.index != index:
		return nil, corrupt("trailer", f.offset, "the index is at byte %d, not at %d",
			index, end.index)
	case end.patchSum != f.sum.Sum64():
		return nil, corrupt("trailer", f.offset, "checksum of the patch: %w", frame.ErrChecksum)
	}
	f.offset += frame.PatchEndSize
	if err := frame.CheckRest(f.in, f.offset, f.onDevice); err != nil {
		return nil, partError("end", f.offset, 0, err)
	}
	return end, nil
}

// checkCount checks the number of the index's entries. What they say is compared when all
// segments have been checked, by Reader.checkEnd.
func (f *fetcher) checkCount(entries int64) error {
	if entries != f.count {
		return fmt.Errorf("%d entries for %d segments", entries, f.count)
	}
	return nil
}

// decompress is a worker: it makes extents of frames.
func (f *fetcher) decompress() {
	for b := range f.work {
		if err := b.decode(f.dec); err != nil {
			b.err = corrupt("segment", b.offset, "%w", err)
		}
		if b.frameSum = 0; f.sums {
			b.frameSum = xxhash.Sum64(b.frame)
		}
		f.frames <- b.frame
		b.frame = nil
		b.ready <- struct{}{}
	}
}

// decode decompresses the frame and checks what is in it.
func (b *body) decode(dec *zstd.Decoder) error {
	if cap(b.buf) < b.content {
		const step = 256 << 10 // the next one may be a little larger
		b.buf = make([]byte, min((b.content+step-1)/step*step, frame.MaxContent))
	}
	content, err := dec.DecodeAll(b.frame, b.buf[:0:b.content])
	if err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	if len(content) != b.content {
		return fmt.Errorf("zstd: %d bytes instead of %d", len(content), b.content)
	}
	return b.unmarshal(content)
}

type countWriter struct {
	w io.Writer
	n int64
}

func (c *countWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
