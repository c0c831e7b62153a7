package volume

import (
	"runtime"
	"sort"

	"golang.org/x/sync/errgroup"
)

// tileSize is the length in bytes of the parts of the volume of which it is found out in one
// go where what they hold comes from.
const tileSize = 1 << 20

// A tile is such a part.
type tile struct {
	off    int64
	pieces []piece // in order, without gaps
	errs   []error // of what can't be read
}

// A piece of a tile comes from one extent, or from what is beneath.
type piece struct {
	end     int32 // in the tile
	layer   int32 // or one of the following
	segment int32 // in the layer; in errs, if it's damaged
	data    int32 // see entry
}

// Where a piece comes from if not from a layer.
const (
	beneath = -1 - iota
	damaged // by a segment that is seen here and can't be read, whatever it has
)

// tile returns the tile with that number. One with damage in it is never kept: the next to
// ask may have more luck.
func (v *Volume) tile(number int64) *tile {
	at := tilePlace{v, number}
	if t, ok := v.cache.knownTile(at); ok {
		return t
	}
	r := resolver{volume: v, tile: &tile{off: number * tileSize}}
	r.resolve()
	if len(r.tile.errs) == 0 {
		v.cache.addTile(at, r.tile)
	}
	return r.tile
}

// find is the first piece that ends behind byte at of the tile.
func (t *tile) find(at int32) int {
	return sort.Search(len(t.pieces), func(i int) bool { return t.pieces[i].end > at })
}

// start is where piece i begins in the tile.
func (t *tile) start(i int) int32 {
	if i == 0 {
		return 0
	}
	return t.pieces[i-1].end
}

// A resolver finds out what a tile is made of: from the newest layer to the oldest, it looks
// for what is not covered yet, and in none of them beyond that.
type resolver struct {
	volume *Volume
	tile   *tile
	open   []span  // not covered yet, in order
	left   []span  // the same behind the layer that is just looked at
	found  []found // in any order
}

// A span is the bytes [off, end) of the volume.
type span struct{ off, end int64 }

type found struct {
	off int64
	piece
}

func (r *resolver) resolve() {
	v, t := r.volume, r.tile
	r.open = []span{{t.off, t.off + min(tileSize, v.size-t.off)}}
	for i := range v.layers {
		if len(r.open) == 0 {
			break
		}
		r.look(int32(i), &v.layers[i])
		r.open, r.left = r.left, r.open[:0]
	}
	for _, s := range r.open {
		end := min(s.end, max(s.off, v.baseEnd))
		r.add(s.off, end, piece{layer: beneath})
		r.add(end, s.end, piece{layer: beneath, data: zeros})
	}
	sort.Slice(r.found, func(i, j int) bool { return r.found[i].off < r.found[j].off })
	t.pieces = make([]piece, len(r.found))
	for i, f := range r.found {
		t.pieces[i] = f.piece
	}
}

// add adds a piece of [off, end), if that isn't empty.
func (r *resolver) add(off, end int64, p piece) {
	if off < end {
		p.end = int32(end - r.tile.off)
		r.found = append(r.found, found{off, p})
	}
}

// look takes from a layer what it has of what is not covered yet.
func (r *resolver) look(number int32, l *layer) {
	segments := r.segments(l)
	for _, open := range r.open {
		at, end := open.off, min(open.end, l.end)
		for len(segments) > 0 && at < end {
			s := &segments[0]
			at = r.take(s, number, span{at, end})
			if s.end > end {
				break
			}
			segments = segments[1:]
		}
		r.leave(at, open.end)
	}
}

// leave leaves [off, end) to older layers.
func (r *resolver) leave(off, end int64) {
	switch n := len(r.left); {
	case off >= end:
	case n > 0 && r.left[n-1].end == off:
		r.left[n-1].end = end
	default:
		r.left = append(r.left, span{off, end})
	}
}

// take takes from a segment what it has of a span, leaves the gaps before and between that,
// and returns where the rest begins.
func (r *resolver) take(s *seen, number int32, open span) int64 {
	at := open.off
	for i := s.table.from(at); i < len(s.table) && s.table[i].off < open.end; i++ {
		e := s.table[i]
		r.leave(at, e.off)
		from, to := max(at, e.off), min(e.end, open.end)
		p := piece{layer: number, segment: int32(s.segment), data: e.dataAt(from)}
		if s.err != nil {
			p.layer, p.segment = damaged, int32(len(r.tile.errs))
			r.tile.errs = append(r.tile.errs, s.err)
		}
		r.add(from, to, p)
		at = to
	}
	return at
}

// seen is a segment of which something may be seen.
type seen struct {
	segment int
	end     int64 // of its range in the volume
	table   table
	err     error // then the table has but one extent: all that it could have hidden or shown
}

// segments returns those of a layer that touch what is not covered yet, in order.
func (r *resolver) segments(l *layer) []seen {
	var all []seen
	index := l.file.Index()
	next := 0 // no segment is seen twice
	for _, open := range r.open {
		end := min(open.end, l.end)
		if open.off >= end {
			break
		}
		for i := max(next, l.segmentFrom(open.off)); i < len(index) && index[i].Start < end; i++ {
			all = append(all, seen{segment: i, end: index[i].End})
			next = i + 1
		}
	}
	r.readTables(l, all)
	return all
}

// readTables reads the tables of segments, at the same time where there are several.
func (r *resolver) readTables(l *layer, all []seen) {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range all {
		s := &all[i]
		p := place{l.file, int32(s.segment)}
		known := false
		if s.table, known = r.volume.cache.knownTable(p); known {
			continue
		}
		read := func() error {
			s.read(r.volume.cache, p, l)
			return nil
		}
		if len(all) == 1 {
			_ = read()
			continue
		}
		group.Go(read)
	}
	_ = group.Wait() // each has its own error
}

// read reads the table.
func (s *seen) read(c *Cache, p place, l *layer) {
	t, err := c.table(p)
	if err != nil {
		e := l.file.Index()[s.segment]
		t = table{{e.Start, e.End, zeros}}
		s.err = &SegmentError{Patch: l.name, Segment: s.segment, Err: err}
	}
	s.table = t
}
