package apply

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/merge"
)

// A mergeModel is a chain of patches, and the states that they lead through, as bytes.
type mergeModel struct {
	t       *testing.T
	rnd     *rand.Rand
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
	m := &mergeModel{t: t, rnd: rnd}
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

// sizes makes up the sizes of n volumes: of the same size, growing to any, or growing and shrinking.
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
		if !whole && !odd && m.rnd.IntN(3) > 0 {
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

// namedPatches names patches by their place.
func namedPatches(patches [][]byte) (named []Patch) {
	for i, p := range patches {
		named = append(named, Patch{Name: fmt.Sprint("patch", i), Reader: bytes.NewReader(p)})
	}
	return named
}

// mergeAll merges patches into one.
func mergeAll(t testing.TB, patches [][]byte, change ...func(*MergeOptions)) ([]byte, Merged) {
	t.Helper()
	var out bytes.Buffer
	mo := MergeOptions{Warn: func(string) {}, Options: merge.Options{Level: 1}}
	for _, c := range change {
		c(&mo)
	}
	m, err := Merge(t.Context(), namedPatches(patches), &out, mo)
	if err != nil {
		t.Fatalf("merge %d patches: %v", len(patches), err)
	}
	if _, _, err := format.Verify(bytes.NewReader(out.Bytes())); err != nil {
		t.Fatalf("what was merged: %v", err)
	}
	return out.Bytes(), m
}

// onto applies patches to a copy of what there is, and returns what it is then, and the error if
// they are refused.
func (m *mergeModel) onto(there []byte, patches [][]byte, dry bool) ([]byte, error) {
	m.t.Helper()
	path := filepath.Join(m.t.TempDir(), "image")
	if there != nil {
		if err := os.WriteFile(path, there, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	r := newRun(path)
	r.Create, r.AcceptLost, r.DryRun = there == nil, true, dry
	if r.doAll(m.t.Context(), namedPatches(patches)); r.err != nil {
		if !errors.Is(r.err, ErrWrongBase) {
			m.t.Fatal(r.err)
		}
		return nil, r.err
	}
	if dry {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	return b, nil
}

// guarded are the bytes of which every merged patch must tell what they were: the blocks that
// have a base hash and of which no other patch has a part, or all of.
func (m *mergeModel) guarded() []format.Extent {
	var found []format.Extent
	for i, pieces := range m.pieces {
		for _, p := range pieces {
			e := p.Extent
			ok := p.HasBase && m.headers[0].Kind != format.Full &&
				(e.End()%512 == 0 || e.End() == m.size)
			for j := range m.pieces {
				ok = ok && (j > i || seed(m.headers[j]) == seed(m.headers[0]))
				for _, q := range m.pieces[j] {
					overlaps := q.Off < e.End() && q.End() > e.Off
					ok = ok && (!overlaps || j == i || j > i && !q.Lost)
				}
			}
			if ok {
				found = append(found, e)
			}
		}
	}
	return found
}

func seed(h format.Header) format.Hash { return baseOf(h).HashSeed }

// check compares what patches do that were merged in some grouping with what all of them do.
func (m *mergeModel) check(patches [][]byte) {
	m.t.Helper()
	full := m.headers[0].Kind == format.Full
	base, want := m.base, m.states[len(m.states)-1]
	if full {
		base = nil
	}
	got, err := m.onto(base, patches, false)
	if err != nil || !bytes.Equal(got, want) {
		m.t.Fatalf("%d patches, merged to %d: %v; same bytes: %v", len(m.patches), len(patches),
			err, bytes.Equal(got, want))
	}
	if _, err := m.onto(want, patches, true); err != nil && len(patches) == 1 {
		m.t.Fatalf("merged to one, run again: %v", err)
	}
	if full {
		return
	}
	guarded := m.guarded()
	for range 4 {
		wrong := slices.Clone(m.base)
		at := m.rnd.Int64N(m.size)
		if len(guarded) > 0 && m.rnd.IntN(2) == 0 {
			e := guarded[m.rnd.IntN(len(guarded))]
			at = e.Off + m.rnd.Int64N(e.Len)
		}
		wrong[at] ^= 0xff
		isGuarded := slices.ContainsFunc(guarded, func(e format.Extent) bool {
			return e.Off <= at && at < e.End()
		})
		_, chainErr := m.onto(wrong, m.patches, true)
		_, err := m.onto(wrong, patches, true)
		if chainErr == nil && err != nil || isGuarded && err == nil {
			m.t.Fatalf("%d patches, merged to %d: byte %d is wrong, guarded: %v: %v, merged %v",
				len(m.patches), len(patches), at, isGuarded, chainErr, err)
		}
	}
}

// Whatever is merged first, the same comes of it as of all of them one after another.
func TestMergeModel(t *testing.T) {
	for i := range uint64(10) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(i, 1))
			m := newMergeModel(t, rnd)
			m.check(m.patches)
			one, _ := mergeAll(t, m.patches)
			m.check([][]byte{one})
			for range 2 {
				left := slices.Clone(m.patches)
				for len(left) > 1 {
					from := rnd.IntN(len(left) - 1)
					to := min(len(left), from+2+rnd.IntN(3))
					merged, _ := mergeAll(t, left[from:to], func(mo *MergeOptions) {
						mo.Anew = rnd.IntN(4) == 0
					})
					left = slices.Replace(left, from, to, merged)
					if rnd.IntN(3) == 0 {
						m.check(left)
					}
				}
				m.check(left)
			}
		})
	}
}

// Every contiguous grouping of a few patches.
func TestMergeGroupings(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 3 {
		m := newMergeModel(t, rnd)
		n := min(5, len(m.patches))
		m.patches, m.pieces, m.states = m.patches[:n], m.pieces[:n], m.states[:n]
		m.headers = m.headers[:n]
		for cuts := range 1 << (n - 1) { // a set bit: two groups
			var groups [][]byte
			from := 0
			for i := 1; i <= n; i++ {
				if i < n && cuts>>(i-1)&1 == 0 {
					continue
				}
				if group := m.patches[from:i]; len(group) > 1 {
					merged, _ := mergeAll(t, group)
					groups = append(groups, merged)
				} else {
					groups = append(groups, group[0])
				}
				from = i
			}
			got, err := m.onto(m.baseOf(), groups, false)
			if want := m.states[n-1]; err != nil || !bytes.Equal(got, want[:len(got)]) {
				t.Fatalf("grouping %b of %d: %v", cuts, n, err)
			}
		}
	}
}

// baseOf is what the patches are applied to; nil: nothing.
func (m *mergeModel) baseOf() []byte {
	if m.headers[0].Kind == format.Full {
		return nil
	}
	return m.base
}
