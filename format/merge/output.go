package merge

import (
	"fmt"

	"lvmsync/format"
)

const (
	// segmentData is how much data goes into a segment that is made anew, in bytes.
	segmentData = 1 << 20
	// smallSegment is how little data, in bytes, a segment has that is joined with its
	// neighbours though it could be copied: else segments would become ever smaller.
	smallSegment = 64 << 10
)

// alone is the layer whose next segment begins at byte at and can be copied as it is; -1 if
// there is none.
func (m *merger) alone(at int64) int {
	if m.anew {
		return -1
	}
	found := -1
	end := int64(0)
	for i := range m.layers {
		l := &m.layers[i]
		if l.off != at {
			continue
		}
		s, e, ok := l.Segment()
		if !ok || found >= 0 {
			return -1
		}
		b := m.inputs[i].Briefs[s]
		switch {
		case b.HasBase && !l.keeps,
			e.End%format.SectorSize != 0 && e.End != m.size,
			b.DataBytes < smallSegment && m.next != nil:
			return -1
		}
		found, end = i, e.End
	}
	for i := range m.layers {
		if i != found && m.layers[i].off < end {
			return -1
		}
	}
	return found
}

// copy copies the next segment of layer i.
func (m *merger) copy(i int) error {
	if err := m.flush(); err != nil {
		return err
	}
	l := &m.layers[i]
	s, e, _ := l.Segment()
	if err := m.w.Copy(m.inputs[i].File, s, m.inputs[i].Briefs[s]); err != nil {
		return fmt.Errorf("merge: patch %d: %w", i+1, err)
	}
	m.copied++
	m.pos = e.End
	return m.skip(e.End)
}

// add adds an extent to the segments that are made anew: in parts, unless it has a base hash.
func (m *merger) add(r format.Record, data []byte) error {
	m.pos = r.End()
	if r.Kind == format.Zero && m.joined(r) {
		return nil
	}
	for {
		if err := m.makeRoom(r, len(data)); err != nil {
			return err
		}
		part := r
		if r.Kind == format.Data && !r.HasBase {
			part.Len = min(r.Len, int64(segmentData-len(m.next.Data)))
		}
		n := 0
		if r.Kind == format.Data {
			n = int(part.Len)
		}
		m.next.Records = append(m.next.Records, part)
		m.next.Data = append(m.next.Data, data[:n]...)
		r.Off, r.Len, data = part.End(), r.Len-part.Len, data[n:]
		if r.Len == 0 {
			return nil
		}
	}
}

// joined tells whether a zero extent was joined with the one before.
func (m *merger) joined(r format.Record) bool {
	if m.next == nil || len(m.next.Records) == 0 || r.HasBase {
		return false
	}
	last := &m.next.Records[len(m.next.Records)-1]
	if last.Kind != format.Zero || last.HasBase || last.Lost != r.Lost || last.End() != r.Off {
		return false
	}
	last.Len += r.Len
	return true
}

// makeRoom makes sure that there is a segment with room for a part of an extent with n bytes of
// data, and for all of one with a base hash.
func (m *merger) makeRoom(r format.Record, n int) error {
	if s := m.next; s != nil {
		room := segmentData - len(s.Data)
		if len(s.Records) == format.MaxSegmentExtents || n > 0 && room <= 0 ||
			r.HasBase && n > room {
			if err := m.flush(); err != nil {
				return err
			}
		}
	}
	if m.next == nil {
		m.next = m.w.NewSegment()
	}
	return nil
}

// flush hands over the segment that is being filled.
func (m *merger) flush() error {
	s := m.next
	m.next = nil
	if s == nil {
		return nil
	}
	return m.w.Write(s)
}
