package mount

import "lvmsync/format/archive"

// sizes tells how much of states is data, without looking at it.
type sizes struct {
	base  int64 // data beneath chains that don't begin with a full patch, in bytes
	known map[*archive.Patch]int64
}

// data is about how many bytes of the state that a patch leads to are no zeros, if what a patch
// replaces was like the rest of the volume.
func (s *sizes) data(p *archive.Patch) int64 {
	var todo []*archive.Patch
	for ; p != nil; p = p.Follows {
		if _, ok := s.known[p]; ok {
			break
		}
		todo = append(todo, p)
	}
	data := s.base
	if p != nil {
		data = s.known[p]
	} else if first := todo[len(todo)-1]; first.Restorable() {
		data = 0
	}
	for i := len(todo) - 1; i >= 0; i-- {
		p = todo[i]
		size := max(1, p.Header.Last().VolumeSize)
		replaced := float64(data) / float64(size) * float64(p.Totals.Bytes())
		now := max(0, float64(data)-replaced) + float64(p.Totals.DataBytes)
		if data = size; now < float64(size) { // the largest size is none of float64
			data = int64(now)
		}
		s.known[p] = data
	}
	return data
}

// blocks is that in blocks of 512 bytes. There are less of them than the size has if, and only if,
// there are zeros; and there are some, for tar doesn't read what has none.
func (s *sizes) blocks(p *archive.Patch) int64 {
	size := p.Header.Last().VolumeSize
	return min(blocksOf(size), max(8, blocksOf(s.data(p))))
}

func blocksOf(size int64) int64 { return size/512 + min(1, size%512) }
