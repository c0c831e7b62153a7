package apply

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format"
	"lvmsync/format/walk"
)

// A sweep compares the base of each of several patches with what the ones before it
// will leave, in one walk through the volume. It goes in steps: parts of the volume of
// which a patch has all or nothing.
type sweep struct {
	dest  *destination
	links []*link
	old   spans // what the destination holds
	pos   int64 // where the next step begins, or before

	step   format.Extent
	states [][]byte // of the step: before each patch and behind the last; nil: as the destination
	held   []byte   // what that holds in the step; nil: not read yet
	buf    []byte

	coming []format.Extent // see expect
}

// A link is a patch of a sweep.
type link struct {
	name   string
	check  *baseCheck
	cursor *walk.Cursor

	record  format.Record // that the cursor is within, if its base is compared; else empty
	sum     *xxhash.Digest
	reached []bool          // the destination holds what the patch with that number leads to, so far
	back    bool            // it's an undo patch
	idle    bool            // and what comes before it is what it leads to, so far
	newer   []*link         // those behind it that were made later, see newerBehind
	over    bool            // one of these has a part of the record, too
	gone    []format.Extent // one such of which what it replaces is not there

	samples   []format.Sample // the first may have been begun
	sampleSum *xxhash.Digest
	touched   bool // the first one by a later patch
	bad, of   int  // of them
}

func newSweep(d *destination, c *chain) *sweep {
	w := &sweep{
		dest:   d,
		old:    spans{dest: d},
		states: make([][]byte, len(c.files)+1),
		buf:    alignedBuffer(pieceSize),
	}
	for i, f := range c.files {
		l := &link{
			name:      c.patches[i].name,
			check:     newBaseCheck(d, f.Header(), false),
			cursor:    walk.NewCursor(f),
			reached:   make([]bool, len(c.files)),
			sampleSum: xxhash.New(),
		}
		l.sum = xxhash.NewWithSeed(l.check.seed)
		l.back = f.Header().Kind == format.Undo
		if i > 0 {
			l.check.name = l.name
		}
		if b := f.Header().Base; b != nil {
			l.samples = b.Fingerprint
		}
		for n := len(l.samples); n > 0 && l.samples[n-1].Offset+format.SampleSize > d.size; n-- {
			l.samples = l.samples[:n-1] // cut off
		}
		w.links = append(w.links, l)
	}
	for i, l := range w.links {
		for _, j := range c.newerBehind(i) {
			l.newer = append(l.newer, w.links[j])
		}
	}
	return w
}

// run goes through the volume. Its errors are those of reading.
func (w *sweep) run(ctx context.Context) error {
	for {
		for _, l := range w.links {
			if err := l.cursor.Load(); err != nil && err != io.EOF {
				return fmt.Errorf("%s: %w", l.name, err)
			}
		}
		if !w.next() {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if w.wanted() {
			w.step.Len = min(w.step.Len, pieceSize)
			if err := w.compare(ctx); err != nil {
				return err
			}
		}
		w.pos = w.step.End()
		for _, l := range w.links {
			if err := l.cursor.Skip(w.pos); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
		}
	}
}

// next finds the next step, if there is one.
func (w *sweep) next() bool {
	start, end := int64(math.MaxInt64), int64(math.MaxInt64)
	w.each(func(e format.Extent) { start = min(start, e.Off) })
	w.each(func(e format.Extent) {
		if e.Off == start {
			end = min(end, e.End())
		} else {
			end = min(end, e.Off)
		}
	})
	w.step = format.Extent{Off: start, Len: end - start}
	return start < math.MaxInt64
}

// each yields what is at hand of each patch: the rest of an extent and of a sample.
func (w *sweep) each(yield func(format.Extent)) {
	for _, l := range w.links {
		if l.cursor.Rest.Len > 0 {
			yield(l.cursor.Rest.Extent)
		}
		if len(l.samples) > 0 {
			from := max(l.samples[0].Offset, w.pos)
			yield(format.Extent{Off: from, Len: l.samples[0].Offset + format.SampleSize - from})
		}
	}
}

// has tells whether the patch has the step.
func (w *sweep) has(l *link) bool { return l.cursor.Rest.Len > 0 && l.cursor.Rest.Off == w.step.Off }

// wanted tells whether anything is compared in the step.
func (w *sweep) wanted() bool {
	return slices.ContainsFunc(w.links, func(l *link) bool { return w.has(l) && l.cursor.Rest.HasBase || w.samples(l) })
}

// samples tells whether the step is within a sample of the patch.
func (w *sweep) samples(l *link) bool { return len(l.samples) > 0 && l.samples[0].Offset <= w.step.Off }

// compare deals with a step.
func (w *sweep) compare(ctx context.Context) error {
	w.held = nil
	var state []byte
	for i, l := range w.links {
		w.states[i] = state
		if !w.has(l) {
			continue
		}
		if state = zeros[:w.step.Len]; l.cursor.Rest.Kind == format.Data {
			state = l.cursor.Data[:w.step.Len]
		}
	}
	w.states[len(w.links)] = state
	for i, l := range w.links {
		if err := w.compareRecord(ctx, i, l); err != nil {
			return err
		}
		if err := w.compareSample(ctx, i, l); err != nil {
			return err
		}
	}
	return nil
}

// state is what the step holds once i patches have been applied.
func (w *sweep) state(ctx context.Context, i int) ([]byte, error) {
	if w.states[i] == nil {
		return w.holds(ctx)
	}
	return w.states[i], nil
}

// holds is what the destination holds in the step.
func (w *sweep) holds(ctx context.Context) ([]byte, error) {
	if w.held == nil {
		b := w.buf[:w.step.Len]
		if !w.old.copy(b, w.step.Off) {
			w.expect()
			if err := readFull(ctx, &w.old, b, w.step.Off); err != nil {
				return nil, err
			}
		}
		w.held = b
	}
	return w.held, nil
}

// expect finds out what is going to be asked of the destination, as far as the extents
// of all patches are in memory.
func (w *sweep) expect() {
	w.coming = w.coming[:0]
	limit := int64(math.MaxInt64)
	for _, l := range w.links {
		loaded, more := l.cursor.Loaded()
		last := l.cursor.Rest
		if last.HasBase {
			w.coming = append(w.coming, last.Extent)
		}
		for _, r := range loaded {
			if last = r; r.HasBase {
				w.coming = append(w.coming, r.Extent)
			}
		}
		if more {
			limit = min(limit, last.End())
		}
		for _, s := range l.samples {
			w.coming = append(w.coming, format.Extent{Off: s.Offset, Len: format.SampleSize})
		}
	}
	slices.SortFunc(w.coming, func(a, b format.Extent) int { return cmp.Compare(a.Off, b.Off) })
	w.old.clear()
	for _, e := range w.coming {
		if e.Off < limit {
			w.old.add(e)
		}
	}
}

// compareRecord compares the step with the base hash of an extent.
func (w *sweep) compareRecord(ctx context.Context, i int, l *link) error {
	if !w.has(l) {
		return nil
	}
	if rest := l.cursor.Rest; l.record.Len == 0 {
		if !rest.HasBase || rest.End() > w.dest.size {
			return nil
		}
		l.record = rest
		l.sum.ResetWithSeed(l.check.seed)
		l.idle, l.over = l.back, false
		for j := range l.reached {
			l.reached[j] = j >= i && !w.dest.isNew()
		}
	}
	before, err := w.state(ctx, i)
	if err != nil {
		return err
	}
	l.sum.Write(before)
	l.over = l.over || slices.ContainsFunc(l.newer, w.has)
	l.idle = l.idle && bytes.Equal(before, w.states[i+1]) // of a run that was broken off before it wrote this
	ends := w.step.End() == l.record.End()
	right := ends && l.sum.Sum64() == l.record.BaseHash
	if !right {
		// An earlier run may have been interrupted.
		if err := w.reach(ctx, l.reached); err != nil {
			return err
		}
	}
	if ends {
		if !right && !l.idle && !slices.Contains(l.reached, true) {
			l.check.isWrong(l.record.Extent)
		}
		if !right && l.over && l.gone == nil {
			l.gone = []format.Extent{l.record.Extent}
		}
		l.record = format.Record{}
	}
	return nil
}

// reach finds out which patches lead to what the destination holds.
func (w *sweep) reach(ctx context.Context, reached []bool) error {
	for j, after := range w.states[1:] {
		if !reached[j] || after == nil {
			continue
		}
		held, err := w.holds(ctx)
		if err != nil {
			return err
		}
		reached[j] = bytes.Equal(held, after)
	}
	return nil
}

// compareSample compares the step with a sample of the fingerprint. Where later patches
// write, an interrupted run may have been already: what they touch says nothing.
func (w *sweep) compareSample(ctx context.Context, i int, l *link) error {
	if !w.samples(l) {
		return nil
	}
	s := l.samples[0]
	if s.Offset == w.step.Off {
		l.sampleSum.Reset()
		l.touched = false
	}
	before, err := w.state(ctx, i)
	if err != nil {
		return err
	}
	l.sampleSum.Write(before)
	l.touched = l.touched || !w.dest.isNew() && slices.ContainsFunc(w.links[i+1:], w.has)
	if w.step.End() < s.Offset+format.SampleSize {
		return nil
	}
	l.samples = l.samples[1:]
	right := l.sampleSum.Sum64() == uint64(s.Hash)
	if right || !l.touched {
		l.of++
	}
	if !right && !l.touched {
		l.bad++
	}
	return nil
}

// result is the error to report, if anything differed: that of the first patch.
func (w *sweep) result() error {
	for _, l := range w.links {
		if l.bad > 0 {
			return &BaseError{Patch: l.check.name, Undo: l.back, Samples: l.bad, Of: l.of}
		}
		if err := l.check.result(); err != nil {
			return err
		}
	}
	return nil
}
