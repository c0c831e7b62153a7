package format

import "sync"

// A Pool lends the memory of segments that come neither from a [Writer] nor from a
// [Reader]. The zero value is ready. It is safe for concurrent use, and needs no end.
type Pool struct {
	// NoFrameSums has [File.ReadSegmentInto] leave out [Segment].FrameSum, for who copies no
	// segments as they are. Set before the first is lent.
	NoFrameSums bool

	free chan struct{} // holds as many as may still be taken; nil: any number

	mu sync.Mutex
	// What came back last goes first: what isn't needed at the same time is never made.
	idle     []*body
	segments []Segment // to be handed out, each of them once
}

// newPool returns a pool that lends no more than size segments at a time.
func newPool(size int) *Pool {
	p := &Pool{free: make(chan struct{}, size)}
	for range size {
		p.free <- struct{}{}
	}
	return p
}

// Segment returns a segment without extents, whose [Segment.Release] gives it back to the
// pool. Records and Data have the room that they had in one that was released before.
func (p *Pool) Segment() *Segment {
	b := p.take()
	if b == nil {
		b = new(body)
	}
	b.records, b.data, b.offset = b.records[:0], b.data[:0], 0
	return p.lend(b)
}

// take returns a body, or nil if one has to be made, once something has been
// received from free.
func (p *Pool) take() *body {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	b := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return b
}

// lend hands out a body, behind a Segment that nobody has had before: who kept one that
// has been released has no hold on what is lent afterwards. Segments are made some at a
// time.
func (p *Pool) lend(b *body) *Segment {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.segments) == 0 {
		p.segments = make([]Segment, 64)
	}
	s := &p.segments[0]
	p.segments = p.segments[1:]
	*s = Segment{Records: b.records, Data: b.data, Offset: b.offset, FrameSum: b.frameSum,
		body: b, pool: p}
	return s
}

// put takes a body back.
func (p *Pool) put(b *body) {
	p.mu.Lock()
	p.idle = append(p.idle, b)
	p.mu.Unlock()
	p.forget()
}

// forget does without a body that was lent: another one may be made in its place.
func (p *Pool) forget() {
	if p.free != nil {
		p.free <- struct{}{}
	}
}
