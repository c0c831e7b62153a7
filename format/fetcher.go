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

	queue chan<- *readJob  // in order, to Next
	work  chan *fetchedJob // to the workers
	pool  *segmentPool
	quit  <-chan struct{}
}

type fetchedJob struct {
	*readJob
	frame frame
}

func (f *fetcher) start(workers, held int) {
	f.work = make(chan *fetchedJob, workers)
	f.pool = newSegmentPool(held + 4)
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
			s = new(Segment)
		}
		s.pool = f.pool
		j := &fetchedJob{readJob: &readJob{seg: s, ready: make(chan struct{})}}
		j.err = f.fetch(j)
		if j.err != nil {
			close(j.ready)
		}
		select {
		case f.queue <- j.readJob:
		case <-f.quit:
			return
		}
		if j.err != nil {
			return
		}
		f.work <- j
	}
}

// fetch reads the next segment's frame, or the end of the patch, which is io.EOF.
func (f *fetcher) fetch(j *fetchedJob) error {
	magic, err := f.in.Peek(4)
	if len(magic) < 4 {
		return partError("segment or index", f.offset, len(magic), err)
	}
	switch le.Uint32(magic) {
	case zstdMagic:
		return f.fetchSegment(j)
	case skippableMagic:
		if j.end, err = f.fetchEnd(); err != nil {
			return err
		}
		return io.EOF
	}
	return corrupt("segment", f.offset, "neither a segment nor the index begins with %q", magic)
}

func (f *fetcher) fetchSegment(j *fetchedJob) (err error) {
	j.seg.Offset = f.offset
	j.frame, err = readFrame(f.in, j.seg.frame)
	j.seg.frame = j.frame.bytes
	if err != nil {
		return partError("segment", f.offset, len(j.frame.bytes), err)
	}
	f.sum.Write(j.frame.bytes)
	f.offset += int64(len(j.frame.bytes))
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
	for j := range f.work {
		if err := j.frame.decode(f.dec, j.seg); err != nil {
			j.err = corrupt("segment", j.seg.Offset, "%w", err)
		}
		close(j.ready)
	}
}

// decode decompresses the frame into s and checks it.
func (f frame) decode(dec *zstd.Decoder, s *Segment) error {
	if cap(s.buf) < f.content {
		s.buf = make([]byte, f.content)
	}
	content, err := dec.DecodeAll(f.bytes, s.buf[:0:f.content])
	if err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	if len(content) != f.content {
		return fmt.Errorf("zstd: %d bytes instead of %d", len(content), f.content)
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
