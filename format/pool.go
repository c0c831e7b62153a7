package format

import "sync"

// A segmentPool lends the memory of segments, no more than a certain number of them at
// a time. What came back last goes first, so that bodies which are never needed at the
// same time are never made.
type segmentPool struct {
	free chan struct{} // holds as many as may still be taken; nil: any number

	mu       sync.Mutex
	idle     []*body
	segments []Segment // to be handed out, each of them once
}

func newSegmentPool(size int) *segmentPool {
	p := &segmentPool{free: make(chan struct{}, size)}
	for range size {
		p.free <- struct{}{}
	}
	return p
}

// take returns a body, or nil if one has to be made, once something has been
// received from free.
func (p *segmentPool) take() *body {
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
func (p *segmentPool) lend(b *body) *Segment {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.segments) == 0 {
		p.segments = make([]Segment, 64)
	}
	s := &p.segments[0]
	p.segments = p.segments[1:]
	*s = Segment{Records: b.records, Data: b.data, Offset: b.offset, body: b, pool: p}
	return s
}

// put takes a body back.
func (p *segmentPool) put(b *body) {
	p.mu.Lock()
	p.idle = append(p.idle, b)
	p.mu.Unlock()
	p.forget()
}

// forget does without a body that was lent: another one may be made in its place.
func (p *segmentPool) forget() {
	if p.free != nil {
		p.free <- struct{}{}
	}
}
