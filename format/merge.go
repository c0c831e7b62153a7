package format

import (
	"io"

	"github.com/cespare/xxhash/v2"
)

// A Merge reads several patches of one volume as if they were one: each part of
// the volume comes from the last patch that has it, and only once. It holds two
// segments of each patch in memory, and is for one goroutine.
type Merge struct {
	cursors []*Cursor
	pool    segmentPool
	err     error
}

// mergeData is how much data goes into a segment of a Merge, in bytes.
const mergeData = 1 << 20

// NewMerge returns a Merge of files, the later of which prevail.
func NewMerge(files ...*File) *Merge {
	m := new(Merge)
	for _, f := range files {
		m.cursors = append(m.cursors, f.Walk())
	}
	return m
}

// Next returns the next segment, or io.EOF at the end of all patches. Extents
// ascend and have hashes, but no base hashes. The
// memory of a segment that is released is used again.
func (m *Merge) Next() (*Segment, error) {
	if m.err != nil {
		return nil, m.err
	}
	b := m.pool.take()
	if b == nil {
		b = &body{data: make([]byte, 0, mergeData)}
	}
	b.records, b.data = b.records[:0], b.data[:0]
	for len(b.records) < MaxSegmentExtents && len(b.data) < mergeData {
		if m.err = m.add(b); m.err != nil {
			break
		}
	}
	if m.err != nil && (m.err != io.EOF || len(b.records) == 0) {
		return nil, m.err
	}
	return m.pool.lend(b), nil
}

// add adds one extent to b, as much of it as there is room for.
func (m *Merge) add(b *body) error {
	r, data, err := m.first()
	if err != nil {
		return err
	}
	if r.Kind == Data {
		whole := r.Len
		r.Len = min(r.Len, int64(mergeData-len(b.data)))
		if data = data[:r.Len]; r.Len < whole || r.Hash == 0 {
			r.Hash = xxhash.Sum64(data)
		}
	}
	b.records = append(b.records, r)
	b.data = append(b.data, data...)
	for _, c := range m.cursors {
		if err := c.Skip(r.End()); err != nil {
			return err
		}
	}
	return nil
}

// first finds the extent that comes first, as far as it comes from one patch. Its
// hash is 0 if it is only a part of what the patch has it for.
func (m *Merge) first() (r Record, data []byte, err error) {
	winner := -1
	for i, c := range m.cursors {
		if err := c.Load(); err == io.EOF {
			continue
		} else if err != nil {
			return Record{}, nil, err
		}
		if winner < 0 || c.Rest.Off <= m.cursors[winner].Rest.Off {
			winner = i
		}
	}
	if winner < 0 {
		return Record{}, nil, io.EOF
	}
	r, data = m.cursors[winner].Rest, m.cursors[winner].Data
	for _, c := range m.cursors[winner+1:] {
		if c.Rest.Len > 0 && c.Rest.Off < r.End() {
			r.Len, r.Hash = c.Rest.Off-r.Off, 0
		}
	}
	r.BaseHash, r.HasBase = 0, false
	return r, data, nil
}
