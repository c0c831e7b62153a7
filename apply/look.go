package apply

import (
	"context"

	"lvmsync/format"
)

// A look is a segment and what the destination holds in its data extents, which is
// read while the segment before is dealt with.
type look struct {
	segment *format.Segment
	err     error  // why there is no segment
	old     []byte // once reading is done; nil: it doesn't matter
	reading outcome
}

// look gets the next segment.
func (p *replay) look(ctx context.Context) *look {
	s, err := p.segments.Next()
	l := &look{segment: s, err: err}
	if err != nil || !p.compare && (p.base == nil || !hasBase(s)) {
		return l
	}
	// Of two, one is in use.
	p.old[0], p.old[1] = p.old[1], p.old[0]
	if p.old[0] == nil || len(p.old[0]) < len(s.Data) { // nil would say that it doesn't matter
		const step = 1 << 20 // the next one may be a little larger
		p.old[0] = alignedBuffer(max(1, (len(s.Data)+step-1)/step) * step)
	}
	l.old = p.old[0][:len(s.Data)]
	l.reading = begin(func() error { return p.dest.readData(ctx, s, l.old) })
	return l
}

// An outcome is what a goroutine has come to; nil if there was none.
type outcome chan error

// begin has do done by a goroutine.
func begin(do func() error) outcome {
	o := make(outcome, 1)
	go func() { o <- do() }()
	return o
}

// wait waits for the outcome, which comes once.
func (o *outcome) wait() error {
	if *o == nil {
		return nil
	}
	err := <-*o
	*o = nil
	return err
}
