package apply

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
)

// A mergeModel is a chain of patches, and the states that they lead through, as bytes.
type mergeModel struct {
	t       *testing.T
	dir     string // for images
	rnd     *rand.Rand
	sends   bool  // each patch has all of what lies past the end of the volume before
	size    int64 // of the largest volume
	base    []byte
	states  [][]byte // behind each patch, as large as the largest volume
	headers []format.Header
	pieces  [][]mergePiece // of each patch
	patches [][]byte
	ends    []int64 // of the volumes
}

type mergePiece struct {
	format.Record
	data []byte
}

func newMergeModel(t *testing.T, rnd *rand.Rand) *mergeModel {
	m := &mergeModel{t: t, rnd: rnd, dir: quickDir(t), sends: rnd.IntN(4) > 0}
	n := 2 + rnd.IntN(11)
	m.sizes(n)
	m.base = make([]byte, m.size)
	for off := int64(0); off < m.ends[0]; off += 4096 {
		m.fill(m.base[off:min(off+4096, m.ends[0])])
	}
	kinds := m.kinds(n)
	for i, kind := range kinds {
		m.add(i, kind)
	}
	return m
}

// sizes makes up the sizes of n volumes: the same, growing to any, or growing and shrinking.
func (m *mergeModel) sizes(n int) {
	how := m.rnd.IntN(3)
	size := 4096*int64(1+m.rnd.IntN(16)) + 512*int64(m.rnd.IntN(8))
	for range n {
		switch {
		case how == 1 && m.rnd.IntN(3) == 0:
			size += m.rnd.Int64N(20000)
		case how == 2 && m.rnd.IntN(3) == 0:
			size = 4096*int64(1+m.rnd.IntN(16)) + 512*int64(m.rnd.IntN(8))
		}
		m.ends = append(m.ends, size)
		m.size = max(m.size, size)
	}
}

// kinds makes up the kinds of n patches.
func (m *mergeModel) kinds(n int) (kinds []format.Kind) {
	how := m.rnd.IntN(4)
	for i := range n {
		kind := format.Delta
		switch {
		case how == 0 && i == 0:
			kind = format.Full
		case how == 1, how == 2 && m.rnd.IntN(2) == 0:
			kind = format.Undo
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

// fill makes up a block: noise or zeros.
func (m *mergeModel) fill(b []byte) {
	clear(b)
	if m.rnd.IntN(3) > 0 {
		for i := range b {
			b[i] = byte(m.rnd.Uint32()) | 1
		}
	}
}

// add makes up a patch and the state that it leads to.
func (m *mergeModel) add(i int, kind format.Kind) {
	before, size := m.base, m.ends[i]
	if i > 0 {
		before = m.states[i-1]
	}
	h := format.Header{ID: uuid.New(), Kind: kind, VolumeSize: size, Granularity: 512,
		Created: time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC), Host: fmt.Sprint("host", i),
		RequiredFeatures: []string{format.LostSectors}}
	m.link(&h, i)
	pieces := m.makeUp(before, &h, i)
	after := slices.Clone(before)
	for _, p := range pieces {
		clear(after[p.Off:p.End()])
		copy(after[p.Off:p.End()], p.data)
	}
	m.sample(&h, before, pieces)
	m.headers, m.states = append(m.headers, h), append(m.states, after)
	m.pieces, m.patches = append(m.pieces, pieces), append(m.patches, m.write(h, pieces))
}

// link makes a patch follow the one before by a name.
func (m *mergeModel) link(h *format.Header, i int) {
	h.State = &format.State{Snapshot: fmt.Sprint("snapshot", i)}
	if h.Kind == format.Undo {
		h.State.Patch = uuid.New()
	}
	if h.Kind == format.Full {
		return
	}
	h.Base = &format.Base{Exact: h.Kind == format.Undo || m.rnd.IntN(2) == 0}
	if m.rnd.IntN(12) == 0 {
		h.Base.HashSeed = format.Hash(1 + m.rnd.IntN(2))
		h.RequiredFeatures = append(h.RequiredFeatures, format.BaseHashSeed)
	}
	if i == 0 {
		h.Base.Snapshot = "before"
		return
	}
	last := m.headers[i-1]
	switch {
	case last.Kind == format.Undo && m.rnd.IntN(2) == 0:
		h.Base.Patch = last.State.Patch
	case h.Kind == format.Undo || h.VolumeSize < last.VolumeSize || m.rnd.IntN(2) == 0:
		h.Base.Patch = last.ID
	default:
		h.Base.Snapshot = last.State.Snapshot
	}
}

// makeUp makes up the extents of a patch.
func (m *mergeModel) makeUp(before []byte, h *format.Header, i int) (pieces []mergePiece) {
	whole, coarse := h.Kind == format.Full, m.rnd.IntN(2) == 0
	for off := int64(0); off < h.VolumeSize; {
		n := 512 * int64(1+m.rnd.IntN(20))
		if coarse {
			n = 4096 - off%4096
		}
		n = min(n, h.VolumeSize-off)
		e := format.Extent{Off: off, Len: n}
		off = e.End()
		// the odd end of a volume that has grown
		odd := i > 0 && m.ends[i-1]%512 != 0 && e.Off < m.ends[i-1] && e.End() > m.ends[i-1]
		grown := m.sends && i > 0 && e.End() > m.ends[i-1]
		if !whole && !odd && !grown && m.rnd.IntN(3) > 0 {
			continue
		}
		p := mergePiece{Record: format.Record{Extent: e}, data: make([]byte, n)}
		if m.fill(p.data); bytes.Count(p.data, []byte{0}) == len(p.data) {
			p.Kind, p.data = format.Zero, nil
			p.Lost = m.rnd.IntN(4) == 0
		}
		if h.Base != nil && h.Base.Exact && !p.Lost && m.rnd.IntN(8) > 0 {
			p.HasBase = true
			d := xxhash.NewWithSeed(uint64(h.Base.HashSeed))
			d.Write(before[e.Off:e.End()])
			p.BaseHash = d.Sum64()
		}
		pieces = append(pieces, p)
	}
	return pieces
}

// sample takes samples where a patch has nothing.
func (m *mergeModel) sample(h *format.Header, before []byte, pieces []mergePiece) {
	end := int64(0)
	for off := int64(0); h.Base != nil && off+4096 <= h.VolumeSize; off += 512 {
		e := format.Extent{Off: off, Len: 4096}
		if off < end || touches(pieces, e) || m.rnd.IntN(3) > 0 {
			continue
		}
		h.Base.Fingerprint = append(h.Base.Fingerprint, format.Sample{Offset: off,
			Hash: format.Hash(xxhash.Sum64(before[off : off+4096]))})
		end = off + 4096
	}
}

func touches(pieces []mergePiece, e format.Extent) bool {
	return slices.ContainsFunc(pieces, func(p mergePiece) bool {
		return p.Off < e.End() && p.End() > e.Off
	})
}

func (m *mergeModel) write(h format.Header, pieces []mergePiece) []byte {
	var out bytes.Buffer
	w, err := format.NewWriter(&out, h, format.WriterOptions{Level: m.rnd.IntN(2)})
	for len(pieces) > 0 && err == nil {
		s := w.NewSegment()
		n := min(len(pieces), 1+m.rnd.IntN(6))
		for _, p := range pieces[:n] {
			s.Records, s.Data = append(s.Records, p.Record), append(s.Data, p.data...)
		}
		pieces = pieces[n:]
		err = w.Write(s)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return out.Bytes()
}
