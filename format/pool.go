package format

import "sync"

// A segmentPool lends segments, no more than a certain number at a time. The one that
// came back last goes first, so that those which are never needed at the same time
// are never made.
type segmentPool struct {
	free chan struct{} // holds as many as may still be taken; nil: any number

	mu   sync.Mutex
	idle []*Segment
}

func newSegmentPool(size int) *segmentPool {
	p := &segmentPool{free: make(chan struct{}, size)}
	for range size {
		p.free <- struct{}{}
	}
	return p
}

// take returns a segment, or nil if one has to be made, once something has been
// received from free.
func (p *segmentPool) take() *Segment {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	s := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return s
}

// put gives a segment back.
func (p *segmentPool) put(s *Segment) {
	p.mu.Lock()
	p.idle = append(p.idle, s)
	p.mu.Unlock()
	if p.free != nil {
		p.free <- struct{}{}
	}
}
