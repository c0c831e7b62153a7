package format

import (
	"bufio"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// A fetcher reads the frames of a patch one after another for a Reader, and has
// them decompressed.
type fetcher struct {
	in     *bufio.Reader
	offset int64          // bytes read
	sum    *xxhash.Digest // of the bytes read
	dec    *zstd.Decoder

	queue  chan<- fetched // in order, to Next
	work   chan *Segment  // to the workers
	frames chan []byte    // to be used again
	pool   *segmentPool
	quit   <-chan struct{}
}

func (f *fetcher) start(workers, held int) {
	f.work = make(chan *Segment, 1)
	f.frames = make(chan []byte, workers+2)         // those of work, one in each worker, and the next
	f.pool = newSegmentPool(held + 1 + workers + 1) // those of the caller, one in each worker, and the next
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
		s := f.pool.take()
		if s == nil {
			s = &Segment{ready: make(chan struct{}, 1)}
		}
		s.pool, s.err = f.pool, nil
		end, err := f.fetch(s)
		select {
		case f.queue <- fetched{s, err, end}:
		case <-f.quit:
			return
		}
		if err != nil {
			return
		}
		f.work <- s
	}
}

// fetch reads the next segment's frame, or the end of the patch, which is io.EOF.
func (f *fetcher) fetch(s *Segment) (*patchEnd, error) {
	magic, err := f.in.Peek(4)
	if len(magic) < 4 {
		return nil, partError("segment or index", f.offset, len(magic), err)
	}
	switch le.Uint32(magic) {
	case zstdMagic:
		return nil, f.fetchSegment(s)
	case skippableMagic:
		end, err := f.fetchEnd()
		if err == nil {
			err = io.EOF
		}
		return end, err
	}
	return nil, corrupt("segment", f.offset, "neither a segment nor the index begins with %q", magic)
}

func (f *fetcher) fetchSegment(s *Segment) error {
	s.Offset = f.offset
	var buf []byte
	select {
	case buf = <-f.frames:
	default:
	}
	fr, err := readFrame(f.in, buf)
	s.frame, s.content = fr.bytes, fr.content
	if err != nil {
		return partError("segment", f.offset, len(fr.bytes), err)
	}
	f.sum.Write(fr.bytes)
	f.offset += int64(len(fr.bytes))
	return nil
}

// fetchEnd reads index and trailer and makes sure that nothing follows.
func (f *fetcher) fetchEnd() (*patchEnd, error) {
	end := &patchEnd{entries: xxhash.New()}
	n := countWriter{f.sum, 0}
	err := readIndex(io.TeeReader(f.in, &n), end.add)
	if err != nil {
		return nil, partError("index", f.offset, int(n.n), err)
	}
	index := f.offset
	f.offset += n.n
	end.offset = f.offset
	b := make([]byte, trailerSize)
	if got, err := io.ReadFull(f.in, b); err != nil {
		return nil, partError("trailer", f.offset, got, err)
	}
	if end.trailer, err = parseTrailer(b); err != nil {
		return nil, corrupt("trailer", f.offset, "%w", err)
	}
	switch {
	case end.index != index:
		return nil, corrupt("trailer", f.offset, "the index is at byte %d, not at %d", index, end.index)
	case end.patchSum != f.sum.Sum64():
		return nil, corrupt("trailer", f.offset, "checksum of the patch: %w", errChecksum)
	}
	f.offset += trailerSize
	if _, err := f.in.Peek(1); err == nil {
		return nil, corrupt("end", f.offset, "bytes follow the trailer")
	} else if err != io.EOF {
		return nil, partError("end", f.offset, 0, err)
	}
	return end, nil
}

// decompress is a worker: it makes segments of frames.
func (f *fetcher) decompress() {
	for s := range f.work {
		if err := s.decode(f.dec); err != nil {
			s.err = corrupt("segment", s.Offset, "%w", err)
		}
		f.frames <- s.frame
		s.frame = nil
		s.ready <- struct{}{}
	}
}

// decode decompresses the segment's frame and checks it.
func (s *Segment) decode(dec *zstd.Decoder) error {
	if cap(s.buf) < s.content {
		const step = 256 << 10 // the next one may be a little larger
		s.buf = make([]byte, min((s.content+step-1)/step*step, MaxSegmentContent))
	}
	content, err := dec.DecodeAll(s.frame, s.buf[:0:s.content])
	if err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	if len(content) != s.content {
		return fmt.Errorf("zstd: %d bytes instead of %d", len(content), s.content)
	}
	return s.unmarshal(content)
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
