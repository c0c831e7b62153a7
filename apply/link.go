package apply

import (
	"bytes"
	"context"
	"slices"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format"
	"lvmsync/format/follow"
	"lvmsync/format/walk"
)

// A link is a patch whose base is checked.
type link struct {
	name   string
	first  bool // of the patches
	back   bool // it's an undo patch
	quiet  bool // it has no base hashes: its extents matter only where others' are compared
	cursor *walk.Cursor

	before, after []byte // of the step; nil: as the destination

	seed    uint64        // of the base hashes
	record  format.Record // that the cursor is within, if its base is compared; else empty
	sum     *xxhash.Digest
	reached []bool          // by patch: so far the destination holds what it leads to
	idle    bool            // so far this undo patch leads to what comes before it
	newer   []*link         // those behind it that were made later, see newerBehind
	unseen  bool            // a part of what comes before the record is not known
	over    bool            // one of these has a part of the record, too
	gone    []format.Extent // one such of which what it replaces is not there
	wrong   []format.Extent // the first that hold something else
	count   int64           // of them

	left      format.Fingerprint // the first may have been begun
	sampleSum *xxhash.Digest
	touched   bool // the first one by a later patch
	// a part of what comes before the first one is not known
	unseenSample bool
	bad, of      int // of them
}

func newLink(d *destination, c *chain, i int) *link {
	h := c.patches[i].header
	l := &link{
		name:      c.patches[i].name,
		first:     i == 0,
		back:      h.Kind == format.Undo,
		cursor:    new(walk.Cursor),
		seed:      uint64(follow.BaseOf(h).HashSeed),
		sum:       xxhash.New(),
		reached:   make([]bool, len(c.patches)),
		left:      follow.BaseOf(h).Fingerprint,
		sampleSum: xxhash.New(),
	}
	if c.files != nil {
		l.quiet = !c.patches[i].hasBase
	}
	for n := len(l.left); n > 0 && l.left[n-1].Offset+format.SampleSize > d.size; n-- {
		l.left = l.left[:n-1] // cut off
	}
	return l
}

// has tells whether the patch has the step.
func (l *link) has(step format.Extent) bool {
	return l.cursor.Rest.Len > 0 && l.cursor.Rest.Off == step.Off
}

// samples tells whether the step is within a sample of the patch.
func (l *link) samples(step format.Extent) bool {
	return len(l.left) > 0 && l.left[0].Offset <= step.Off
}

// compareHash compares the step with the base hash of an extent of patch i.
func (b *baseCheck) compareHash(ctx context.Context, i int) error {
	l := b.links[i]
	if !l.has(b.step) {
		return nil
	}
	if rest := l.cursor.Rest; l.record.Len == 0 {
		if !rest.HasBase || rest.End() > b.dest.size {
			return nil
		}
		l.record = rest
		l.sum.ResetWithSeed(l.seed)
		l.idle, l.over, l.unseen = l.back, false, false
		for j := range l.reached {
			l.reached[j] = j >= i && !b.dest.isNew()
		}
	}
	ends := b.step.End() == l.record.End()
	if l.unseen = l.unseen || b.dest.unseen && l.before == nil; l.unseen {
		if ends {
			l.record = format.Record{}
		}
		return nil
	}
	before, err := b.state(ctx, l.before)
	if err != nil {
		return err
	}
	l.sum.Write(before)
	l.over = l.over || slices.ContainsFunc(l.newer, func(n *link) bool { return n.has(b.step) })
	right := ends && l.sum.Sum64() == l.record.BaseHash
	if !right {
		// An earlier run may have been interrupted, or broken off before it wrote this.
		l.idle = l.idle && bytes.Equal(before, l.after)
		if err := b.reach(ctx, l.reached); err != nil {
			return err
		}
	}
	if ends {
		l.found(right)
	}
	return nil
}

// found notes whether what comes before the record is right, as soon as all of it is known.
func (l *link) found(right bool) {
	e := l.record.Extent
	l.record = format.Record{}
	if right {
		return
	}
	if !l.idle && !slices.Contains(l.reached, true) {
		if l.count++; len(l.wrong) < shownExtents {
			l.wrong = append(l.wrong, e)
		}
	}
	if l.over && l.gone == nil {
		l.gone = []format.Extent{e}
	}
}

// reach finds out which patches lead to what the destination holds.
func (b *baseCheck) reach(ctx context.Context, reached []bool) error {
	for j, l := range b.links {
		if !reached[j] || l.after == nil {
			continue
		}
		there, err := b.holds(ctx)
		if err != nil {
			return err
		}
		reached[j] = bytes.Equal(there, l.after)
	}
	return nil
}

// compareSample compares the step with a sample of the fingerprint of patch i. Where later
// patches write, an interrupted run may have been already: what they touch says nothing.
func (b *baseCheck) compareSample(ctx context.Context, i int) error {
	l := b.links[i]
	if !l.samples(b.step) {
		return nil
	}
	s := l.left[0]
	if s.Offset == b.step.Off {
		l.sampleSum.Reset()
		l.touched, l.unseenSample = false, false
	}
	ends := b.step.End() == s.Offset+format.SampleSize
	if l.unseenSample = l.unseenSample || b.dest.unseen && l.before == nil; l.unseenSample {
		if ends {
			l.left = l.left[1:]
		}
		return nil
	}
	before, err := b.state(ctx, l.before)
	if err != nil {
		return err
	}
	l.sampleSum.Write(before)
	l.touched = l.touched || (!b.dest.isNew() || b.dest.unseen) &&
		slices.ContainsFunc(b.links[i+1:], func(later *link) bool { return later.has(b.step) })
	if !ends {
		return nil
	}
	l.left = l.left[1:]
	right := l.sampleSum.Sum64() == uint64(s.Hash)
	if right || !l.touched {
		l.of++
	}
	if !right && !l.touched {
		l.bad++
	}
	return nil
}

// result is the error to report, if anything differed.
func (l *link) result() error {
	e := &BaseError{Undo: l.back}
	if !l.first {
		e.Patch = l.name
	}
	switch {
	case l.bad > 0:
		e.Samples, e.Of = l.bad, l.of
	case l.count > 0:
		e.Extents, e.Count = l.wrong, l.count
	default:
		return nil
	}
	return e
}
