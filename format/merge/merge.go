// Package merge makes one patch of several that follow one another (docs/format.md, "Merged
// patches"). It takes their word for that they do: that is apply's work.
package merge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"lvmsync/format"
	"lvmsync/format/walk"
)

// An Input is one of the patches. It was read to its end and found right.
type Input struct {
	File   *format.File
	Briefs []format.Brief // of its segments
}

// hasBase tells whether any extent has a base hash.
func (in Input) hasBase() bool {
	return slices.ContainsFunc(in.Briefs, func(b format.Brief) bool { return b.HasBase })
}

// Options tune [Write].
type Options struct {
	// Level is the compression of segments that are made anew, as in [format.WriterOptions].
	Level int
	// Anew makes all of them anew, also those that no other patch touches.
	Anew bool
	// BeforeTrailer is as in [format.WriterOptions].
	BeforeTrailer func() error
	// Progress, if set, is told up to which byte of the volume all is done.
	Progress func(done int64)
}

// A Written says what was written.
type Written struct {
	Totals format.Totals
	Copied int64 // segments that were copied as they are
	Size   int64 // of the patch in bytes
}

// Write writes the patch, whose header is from [Header], to w. After an error it has no
// trailer. Of each patch no more than two segments are held in memory, of many less.
func Write(
	ctx context.Context, w io.Writer, h format.Header, inputs []Input, o Options,
) (Written, error) {
	pw, err := format.NewWriter(w, h, format.WriterOptions{Level: o.Level,
		BeforeTrailer: o.BeforeTrailer})
	if err != nil {
		return Written{}, err
	}
	defer pw.Abort()
	m := newMerger(pw, h, inputs, o)
	if err := m.run(ctx); err != nil {
		return Written{}, err
	}
	if err := pw.Close(); err != nil {
		return Written{}, err
	}
	return Written{Totals: pw.Totals(), Copied: m.copied, Size: pw.PatchBytes()}, nil
}

// A merger goes through the volume in steps, which are parts of it that come from one patch, or
// that have a base hash.
type merger struct {
	w      *format.Writer
	size   int64 // of the volume
	whole  bool  // a full patch has no gaps
	anew   bool
	inputs []Input
	layers []layer         // the later prevail
	next   *format.Segment // being filled; may be nil
	pos    int64           // where what was handed over ends
	copied int64

	buf    []byte // see compose
	pieces []piece

	progress func(int64)
}

// A layer is a patch on the way.
type layer struct {
	*walk.Cursor
	keeps  bool  // base hashes can stay
	hashed bool  // there are such
	off    int64 // where the next extent begins
}

func newMerger(w *format.Writer, h format.Header, inputs []Input, o Options) *merger {
	m := &merger{w: w, size: h.VolumeSize, whole: h.Kind == format.Full, anew: o.Anew,
		inputs: inputs, progress: o.Progress}
	if m.progress == nil {
		m.progress = func(int64) {}
	}
	var files []*format.File
	var headers []format.Header
	for _, in := range inputs {
		files, headers = append(files, in.File), append(headers, in.File.Header())
	}
	keep := hashesOf(headers)
	for i, c := range walk.NewCursors(files...) {
		c.Check = inputs[i].check
		keeps := i < keep && !m.whole
		m.layers = append(m.layers, layer{Cursor: c, keeps: keeps,
			hashed: keeps && inputs[i].hasBase()})
	}
	return m
}

// check makes sure that a segment is the one that was read before.
func (in Input) check(i int, s *format.Segment) error {
	if s.FrameSum != in.Briefs[i].FrameSum {
		return errors.New("the patch has changed while it was read")
	}
	return nil
}

func (m *merger) run(ctx context.Context) error {
	for {
		at := m.look()
		if at == math.MaxInt64 {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := m.fill(at)
		if err == nil {
			err = m.step(at)
		}
		if err != nil {
			return err
		}
		m.progress(m.pos)
	}
	if err := m.fill(m.size); err != nil {
		return err
	}
	return m.flush()
}

// look finds where each patch goes on, and the first of these places.
func (m *merger) look() int64 {
	at := int64(math.MaxInt64)
	for i := range m.layers {
		l := &m.layers[i]
		l.off = math.MaxInt64
		if off, ok := l.Off(); ok {
			l.off = off
		}
		at = min(at, l.off)
	}
	return at
}

// fill makes zeros of what no patch has, in a full one.
func (m *merger) fill(to int64) error {
	if !m.whole || to <= m.pos {
		return nil
	}
	e := format.Extent{Off: m.pos, Len: to - m.pos, Kind: format.Zero}
	return m.add(format.Record{Extent: e}, nil)
}

// step deals with what begins at byte at, where a patch has something.
func (m *merger) step(at int64) error {
	if i := m.alone(at); i >= 0 {
		return m.copy(i)
	}
	first, top, err := m.load(at)
	if err != nil {
		return err
	}
	if unit, alone := m.unit(first); unit && alone {
		return m.give(first, m.layers[first].Rest)
	} else if unit {
		return m.composeUnit(m.layers[first].Rest)
	}
	end := m.runEnd(top, at)
	if part := end % format.SectorSize; part != 0 && end != m.size {
		if end -= part; end == at {
			return m.composeSector(at)
		}
	}
	r := m.layers[top].Rest
	r.Len, r.HasBase, r.BaseHash = end-at, false, 0
	return m.give(top, r)
}

// load finds the first and the last layer that have something at byte at, and loads these, and of
// those in between what matters: an extent that another one hides needs not be read.
func (m *merger) load(at int64) (first, top int, err error) {
	first, top = -1, -1
	for i := range m.layers {
		if m.layers[i].off == at {
			if top = i; first < 0 {
				first = i
			}
		}
	}
	for i := first; i <= top; i++ {
		l := &m.layers[i]
		if l.off != at || i > first && i < top && !l.hashed {
			continue
		}
		if err := l.Load(); err != nil {
			return 0, 0, fmt.Errorf("merge: patch %d: %w", i+1, err)
		}
	}
	return first, top, nil
}

// unit tells whether the extent of layer i, the first one that has anything there, stays one
// extent because of its base hash; and whether no other patch has any byte of it.
func (m *merger) unit(i int) (unit, alone bool) {
	l := &m.layers[i]
	r := l.Rest
	if !l.keeps || !r.HasBase || !l.IsWhole() ||
		r.End()%format.SectorSize != 0 && r.End() != m.size {
		return false, false
	}
	alone = true
	for j := range m.layers {
		if j == i || m.layers[j].off >= r.End() {
			continue
		}
		if alone = false; j < i {
			return false, false
		}
	}
	return alone || r.Len <= format.MaxSegmentData, alone
}

// runEnd is how far what begins at byte at comes from the extent of layer top alone. It ends
// where another one may begin that stays because of its base hash.
func (m *merger) runEnd(top int, at int64) int64 {
	end := m.layers[top].Rest.End()
	for j := range m.layers {
		switch l := &m.layers[j]; {
		case j > top || j < top && l.hashed && l.off > at:
			end = min(end, l.off)
		case j < top && l.hashed:
			end = min(end, l.Rest.End())
		}
	}
	return end
}

// give hands over what a step is about, r with the data of layer i, and goes on behind it.
func (m *merger) give(i int, r format.Record) error {
	var data []byte
	if r.Kind == format.Data {
		var err error
		if data, err = m.layers[i].First(r.Len); err != nil {
			return fmt.Errorf("merge: patch %d: %w", i+1, err)
		}
	}
	if err := m.add(r, data); err != nil {
		return err
	}
	return m.skip(r.End())
}

// skip drops of all patches what lies before off.
func (m *merger) skip(off int64) error {
	for i := range m.layers {
		if err := m.layers[i].SkipTo(off); err != nil {
			return fmt.Errorf("merge: patch %d: %w", i+1, err)
		}
	}
	return nil
}
