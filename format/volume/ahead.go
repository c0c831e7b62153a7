package volume

import (
	"runtime"
	"sync"
)

// A readAhead finds out who reads the volume from one byte to the next, and what they will want.
type readAhead struct {
	depth   int64         // tiles that are read ahead of each
	workers chan struct{} // holds one for each that may be read at the same time

	mu      sync.Mutex
	streams [16]stream // of the last readers
	clock   int64
	stopped bool
}

// A stream is where somebody reads.
type stream struct {
	next int64 // byte that would come next
	tile int64 // first that was not read ahead
	used int64 // by the clock
}

// near is how far from the next byte the next read of a stream may begin, in bytes: readers
// that several requests of the kernel's serve at once come in any order.
const near = 1 << 20

// init sets it up for a cache of so many bytes: what is read ahead must not push itself out.
func (r *readAhead) init(cache int64) {
	cores := int64(runtime.GOMAXPROCS(0))
	r.depth = min(cores+1, cache/(8*tileSize))
	r.workers = make(chan struct{}, cores)
}

func (r *readAhead) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
}

// readAhead takes note of a read of n bytes, and has those tiles read that it is likely to be
// followed by.
func (v *Volume) readAhead(off, n int64) {
	r := &v.ahead
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stream(off, n)
	if s == nil || r.stopped {
		return
	}
	now := (s.next - 1) / tileSize
	s.tile = max(s.tile, now+1)
	for s.tile <= min(now+r.depth, (v.size-1)/tileSize) {
		select {
		case r.workers <- struct{}{}:
		default:
			return
		}
		number := s.tile
		s.tile++
		v.running.Go(func() {
			v.prepare(number)
			<-r.workers
		})
	}
}

// stream returns the stream that a read goes on with; nil: it begins one.
func (r *readAhead) stream(off, n int64) *stream {
	r.clock++
	oldest := &r.streams[0]
	for i := range r.streams {
		s := &r.streams[i]
		if s.used > 0 && off-s.next >= -near && off-s.next <= near {
			s.next, s.used = max(s.next, off+n), r.clock
			return s
		}
		if s.used < oldest.used {
			oldest = s
		}
	}
	*oldest = stream{next: off + n, used: r.clock}
	return nil
}

// prepare has in memory what a tile is made of. What can't be read is left to who asks for it.
func (v *Volume) prepare(number int64) {
	in := input{volume: v}
	defer in.close()
	for _, p := range v.tile(number).pieces {
		if p.layer >= 0 && p.data >= 0 {
			_, _ = in.segment(p)
		}
	}
}
