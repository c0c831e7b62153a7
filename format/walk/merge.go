package walk

import (
	"fmt"
	"io"
	"slices"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format"
)

// A Merge reads several patches of one volume as if they were one: each part of
// the volume comes from the last patch that has it, and only once. It holds two
// segments of each patch in memory, of many less, is for one goroutine, and needs no end.
type Merge struct {
	cursors []*Cursor
	pool    format.Pool
	err     error
}

// mergeData is how much data goes into a segment of a Merge, in bytes.
const mergeData = 1 << 20

// NewMerge returns a Merge of files, the later of which prevail.
func NewMerge(files ...*format.File) *Merge {
	return &Merge{cursors: NewCursors(files...)}
}

// Next returns the next segment, or io.EOF at the end of all patches. Extents ascend and
// have hashes, but no base hashes. Release the segment when done with it. An error ends
// the reading and is returned ever after.
func (m *Merge) Next() (*format.Segment, error) {
	if m.err != nil {
		return nil, m.err
	}
	s := m.pool.Segment()
	s.Data = slices.Grow(s.Data, mergeData)
	for len(s.Records) < format.MaxSegmentExtents && len(s.Data) < mergeData {
		if m.err = m.add(s); m.err != nil {
			break
		}
	}
	if m.err != nil && (m.err != io.EOF || len(s.Records) == 0) {
		return nil, m.err
	}
	return s, nil
}

// add adds one extent to s, as much of it as there is room for.
func (m *Merge) add(s *format.Segment) error {
	r, from, err := m.first()
	if err != nil {
		return err
	}
	if r.Kind == format.Data {
		whole := r.Len
		r.Len = min(r.Len, int64(mergeData-len(s.Data)))
		data, err := m.cursors[from].First(r.Len)
		if err != nil {
			return patchError(from, err)
		}
		if r.Len < whole || r.Hash == 0 {
			r.Hash = xxhash.Sum64(data)
		}
		s.Data = append(s.Data, data...)
	}
	s.Records = append(s.Records, r)
	for i, c := range m.cursors {
		if err := c.Skip(r.End()); err != nil {
			return patchError(i, err)
		}
	}
	return nil
}

// patchError says in which of the patches something went wrong.
func patchError(i int, err error) error { return fmt.Errorf("patch %d: %w", i+1, err) }

// first finds the extent that comes first, as far as it comes from one patch, and which that is.
// Its hash is 0 if it is only a part of what the patch has it for.
func (m *Merge) first() (r format.Record, winner int, err error) {
	winner = -1
	for i, c := range m.cursors {
		if err := c.Load(); err == io.EOF {
			continue
		} else if err != nil {
			return format.Record{}, 0, patchError(i, err)
		}
		if winner < 0 || c.Rest.Off <= m.cursors[winner].Rest.Off {
			winner = i
		}
	}
	if winner < 0 {
		return format.Record{}, 0, io.EOF
	}
	r = m.cursors[winner].Rest
	for _, c := range m.cursors[winner+1:] {
		if c.Rest.Len > 0 && c.Rest.Off < r.End() {
			r.Len, r.Hash = c.Rest.Off-r.Off, 0
		}
	}
	r.BaseHash, r.HasBase = 0, false
	return r, winner, nil
}
