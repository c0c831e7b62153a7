package volume

import (
	"sync"
	"unsafe"

	"lvmsync/format"
)

// A cache holds what was read, within a bound: segments with their data, and what is much
// smaller and lasts longer, their tables alone and what tiles are made of. A segment that
// several want at once is read once, and only those wait for it that want it.
type cache struct {
	max  int64 // in bytes
	pool format.Pool

	mu       sync.Mutex
	segments lru[place, *segment]
	loading  map[place]*segment
	tables   lru[place, table]
	tiles    lru[int64, *tile]
	idle     int // segments' memory in pool
}

// A place says which segment of which layer.
type place struct{ layer, segment int32 }

// A segment is one that has been read, or is just being read.
type segment struct {
	*format.Segment
	users int           // that must not lose it
	ready chan struct{} // closed when it is there, or err
	err   error
}

// overhead is about what an entry costs besides what is in it, in bytes.
const overhead = 200

// maxIdle is how many segments' memory waits for the next ones.
const maxIdle = 4

// smallPart is which part of the memory tables may have, and tiles.
const smallPart = 8

func newCache(max int64) *cache {
	return &cache{max: max, loading: make(map[place]*segment)}
}

// get returns a segment, which is the caller's until it is released. What isn't there yet is
// read; an error is not kept.
func (c *cache) get(p place, file *format.File) (*segment, error) {
	c.mu.Lock()
	s, ok := c.segments.get(p)
	if !ok {
		s, ok = c.loading[p]
	}
	if ok {
		s.users++
		c.mu.Unlock()
		<-s.ready
		return s, s.err
	}
	s = &segment{users: 1, ready: make(chan struct{})}
	c.loading[p] = s
	c.idle = max(0, c.idle-1)
	c.mu.Unlock()

	s.Segment, s.err = file.ReadSegmentInto(&c.pool, int(p.segment))
	c.mu.Lock()
	delete(c.loading, p)
	if s.err == nil {
		c.segments.put(p, s, s.Memory()+overhead)
		c.shrink()
	} else {
		c.idle++
	}
	c.mu.Unlock()
	close(s.ready)
	return s, s.err
}

// release gives back a segment from get.
func (c *cache) release(s *segment) {
	c.mu.Lock()
	s.users--
	c.shrink() // it may be what was too much
	c.mu.Unlock()
}

// shrink keeps the bound, as far as segments are not in use.
func (c *cache) shrink() {
	c.tables.shrink(c.max / smallPart)
	c.tiles.shrink(c.max / smallPart)
	for c.segments.cost+c.tables.cost+c.tiles.cost > c.max {
		s, ok := c.segments.drop(func(s *segment) bool { return s.users == 0 })
		if !ok {
			return
		}
		// The next is read into its memory. One that is larger can take the place of several.
		if c.idle < maxIdle {
			s.Release()
			c.idle++
		}
	}
}

// table returns the table of a segment.
func (c *cache) table(p place, file *format.File) (table, error) {
	if t, ok := c.knownTable(p); ok {
		return t, nil
	}
	s, err := c.get(p, file)
	if err != nil {
		return nil, err
	}
	defer c.release(s)
	t := newTable(s.Records)
	c.mu.Lock()
	c.tables.put(p, t, int64(len(t))*int64(unsafe.Sizeof(entry{}))+overhead)
	c.mu.Unlock()
	return t, nil
}

func (c *cache) knownTable(p place) (table, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tables.get(p)
}

func (c *cache) knownTile(number int64) (*tile, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tiles.get(number)
}

func (c *cache) addTile(number int64, t *tile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tiles.put(number, t, int64(len(t.pieces))*int64(unsafe.Sizeof(piece{}))+overhead)
	c.shrink()
}
