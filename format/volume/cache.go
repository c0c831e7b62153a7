package volume

import (
	"cmp"
	"sync"
	"unsafe"

	"lvmsync/format"
)

// A Cache holds what was read, within a bound: segments with their data, and what is much
// smaller and lasts longer, their tables alone and what tiles are made of. A segment that
// several want at once is read once, and only those wait for it that want it. Volumes that
// share one may have Files in common. It is for any number of goroutines, and needs no end.
type Cache struct {
	max  int64 // in bytes
	pool format.Pool

	mu       sync.Mutex
	segments [2]lru[place, *segment] // narrow and wide ones
	loading  map[place]*segment
	tables   lru[place, table]
	tiles    lru[tilePlace, *tile]
	idle     int                  // segments' memory in pool
	files    map[*format.File]int // how many volumes are made of each
}

// A place says which segment of which patch.
type place struct {
	file    *format.File
	segment int32
}

// A tilePlace says which tile of which volume.
type tilePlace struct {
	volume *Volume
	number int64
}

// A segment is one that has been read, or is just being read.
type segment struct {
	*format.Segment
	users int           // that must not lose it
	ready chan struct{} // closed when it is there, or err
	err   error
}

// Segments are kept in two lists. A wide one has changes here and there of a large part of the
// volume, and who reads from one byte to the next comes back to it: it shall not be pushed out by
// the narrow ones of a full patch, which they are done with once they have passed.
const (
	narrow = iota
	wide
)

// wideFrom is what a segment's range in the volume exceeds that is wide, in bytes.
const wideFrom = 8 * tileSize

// What is left to narrow ones when there are wide ones: a part of the memory, and as many bytes as
// some that are just being read take.
const (
	narrowPart  = 4
	narrowLeast = 3 * tileSize
)

// list is that in which a segment is.
func (p place) list() int {
	if e := p.file.Index()[p.segment]; e.End-e.Start > wideFrom {
		return wide
	}
	return narrow
}

// overhead is about what an entry costs besides what is in it, in bytes.
const overhead = 200

// maxIdle is how many segments' memory waits for the next ones.
const maxIdle = 4

// smallPart is which part of the memory tables may have, and tiles.
const smallPart = 8

// NewCache makes one that takes up to max bytes; 0: DefaultCache.
func NewCache(max int64) *Cache {
	return &Cache{max: cmp.Or(max, DefaultCache), loading: make(map[place]*segment),
		files: make(map[*format.File]int), pool: format.Pool{NoFrameSums: true}}
}

// enter takes note of a volume.
func (c *Cache) enter(v *Volume) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range v.layers {
		c.files[l.file]++
	}
}

// leave drops what only that volume can use.
func (c *Cache) leave(v *Volume) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range v.layers {
		if c.files[l.file]--; c.files[l.file] == 0 {
			delete(c.files, l.file)
		}
	}
	unused := func(p place) bool { return c.files[p.file] == 0 }
	c.tiles.dropAll(func(p tilePlace) bool { return p.volume == v })
	c.tables.dropAll(unused)
	for i := range c.segments {
		for _, s := range c.segments[i].dropAll(unused) {
			c.recycle(s)
		}
	}
}

// get returns a segment, which is the caller's until it is released. What isn't there yet is
// read; an error is not kept.
func (c *Cache) get(p place) (*segment, error) {
	list := &c.segments[p.list()]
	c.mu.Lock()
	s, ok := list.get(p)
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

	s.Segment, s.err = p.file.ReadSegmentInto(&c.pool, int(p.segment))
	c.mu.Lock()
	delete(c.loading, p)
	if s.err == nil {
		list.put(p, s, s.Memory()+overhead)
		c.shrink()
	} else {
		c.idle++
	}
	c.mu.Unlock()
	close(s.ready)
	return s, s.err
}

// release gives back a segment from get.
func (c *Cache) release(s *segment) {
	c.mu.Lock()
	s.users--
	c.shrink() // it may be what was too much
	c.mu.Unlock()
}

// shrink keeps the bound, as far as segments are not in use.
func (c *Cache) shrink() {
	c.tables.shrink(c.max / smallPart)
	c.tiles.shrink(c.max / smallPart)
	for c.cost() > c.max {
		first := wide
		if c.segments[narrow].cost > max(c.max/narrowPart, narrowLeast) {
			first = narrow
		}
		if !c.drop(first) && !c.drop(narrow+wide-first) {
			return
		}
	}
}

// cost is that of all that is kept.
func (c *Cache) cost() int64 {
	return c.segments[narrow].cost + c.segments[wide].cost + c.tables.cost + c.tiles.cost
}

// drop drops the segment of a list that was used longest ago, unless all are in use.
func (c *Cache) drop(list int) bool {
	s, ok := c.segments[list].drop(func(s *segment) bool { return s.users == 0 })
	if ok {
		c.recycle(s)
	}
	return ok
}

// recycle has the next segment read into the memory of one that was dropped. One that is larger
// can take the place of several.
func (c *Cache) recycle(s *segment) {
	if c.idle < maxIdle {
		s.Release()
		c.idle++
	}
}

// table returns the table of a segment.
func (c *Cache) table(p place) (table, error) {
	if t, ok := c.knownTable(p); ok {
		return t, nil
	}
	s, err := c.get(p)
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

func (c *Cache) knownTable(p place) (table, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tables.get(p)
}

func (c *Cache) knownTile(p tilePlace) (*tile, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tiles.get(p)
}

func (c *Cache) addTile(p tilePlace, t *tile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tiles.put(p, t, int64(len(t.pieces))*int64(unsafe.Sizeof(piece{}))+overhead)
	c.shrink()
}
