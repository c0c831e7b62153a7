package merge

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"lvmsync/format"
)

// composeUnit makes one extent with the base hash of r of what the patches have there; several
// without it if a part of that is lost.
func (m *merger) composeUnit(r format.Record) error {
	if err := m.compose(r.Extent); err != nil {
		return err
	}
	if slices.ContainsFunc(m.pieces, func(p piece) bool { return p.Lost }) {
		return m.addSectors(r.Extent)
	}
	r.Kind = format.Data
	if !slices.ContainsFunc(m.pieces, func(p piece) bool { return p.Kind == format.Data }) ||
		len(m.pieces) > 1 && len(bytes.TrimLeft(m.buf, "\x00")) == 0 {
		r.Kind = format.Zero
		return m.add(r, nil)
	}
	return m.add(r, m.buf)
}

// ErrPart means that of a sector in which a volume ended, before it grew, no patch has the rest.
var ErrPart = errors.New("a volume ends within it, and no patch has the rest of it")

// composeSector makes a whole sector of one of which a patch has only a part, for its volume
// ends there. What a full patch doesn't have is zeros.
func (m *merger) composeSector(at int64) error {
	e := format.Extent{Off: at, Len: min(format.SectorSize, m.size-at)}
	if err := m.compose(e); err != nil {
		return err
	}
	if slices.ContainsFunc(m.pieces, func(p piece) bool { return p.gap }) && !m.whole {
		return fmt.Errorf("merge: sector at byte %d: %w", at, ErrPart)
	}
	return m.addSectors(e)
}

// A piece is a part of what was composed that comes from one patch.
type piece struct {
	format.Record
	gap bool // or from none
}

// compose puts together in buf what the patches have in an extent, zeros where there is nothing,
// and in pieces of what kind that is, and goes on behind it.
func (m *merger) compose(e format.Extent) error {
	m.buf = slices.Grow(m.buf[:0], int(e.Len))[:e.Len]
	clear(m.buf)
	m.pieces = m.pieces[:0]
	for pos := e.Off; pos < e.End(); {
		m.look()
		end, top := e.End(), -1
		for i := range m.layers {
			l := &m.layers[i]
			if l.off > pos {
				end = min(end, l.off)
				continue
			}
			top = i
		}
		p := piece{gap: top < 0}
		p.Off, p.Kind = pos, format.Zero
		if top >= 0 {
			l := &m.layers[top]
			if err := l.Load(); err != nil {
				return fmt.Errorf("merge: patch %d: %w", top+1, err)
			}
			end = min(end, l.Rest.End())
			p.Kind, p.Lost = l.Rest.Kind, l.Rest.Lost
			if p.Kind == format.Data {
				data, err := l.First(end - pos)
				if err != nil {
					return fmt.Errorf("merge: patch %d: %w", top+1, err)
				}
				copy(m.buf[pos-e.Off:], data)
			}
		}
		p.Len = end - pos
		m.pieces = append(m.pieces, p)
		if err := m.skip(end); err != nil {
			return err
		}
		pos = end
	}
	return nil
}

// addSectors adds what was composed without a base hash: sector by sector, as data if any of
// that are, and as lost if any is.
func (m *merger) addSectors(e format.Extent) error {
	for off := e.Off; off < e.End(); {
		sector := format.Extent{Off: off, Len: min(format.SectorSize, e.End()-off),
			Kind: format.Zero}
		r := format.Record{Extent: sector}
		for _, p := range m.pieces {
			if p.Off < sector.End() && p.End() > sector.Off {
				r.Lost = r.Lost || p.Lost
				if p.Kind == format.Data {
					r.Kind = format.Data
				}
			}
		}
		var data []byte
		if r.Lost {
			r.Kind = format.Zero
		}
		if r.Kind == format.Data {
			data = m.buf[off-e.Off : sector.End()-e.Off]
		}
		if err := m.add(r, data); err != nil {
			return err
		}
		off = sector.End()
	}
	return nil
}
