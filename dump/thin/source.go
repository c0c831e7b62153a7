// Package thin is the source of patches of thin volumes: what changed between two of them, or what one of them maps, is told by
// the pool's metadata, the data are read from the volumes.
package thin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin/metadata"
	"lvmsync/format"
)

var (
	// ErrNotThin means that what was named is no thin volume.
	ErrNotThin = errors.New("not a thin volume")
	// ErrNoOrigin means that a thin volume is no snapshot of another one, or that one has been removed.
	ErrNoOrigin = errors.New("not a snapshot of a thin volume, or its origin has been removed")
	// ErrMerging means that what a volume maps doesn't tell what it holds.
	ErrMerging = errors.New("a snapshot is being merged into it")
	// ErrOtherPool means that two volumes have nothing in common to compare.
	ErrOtherPool = errors.New("the volumes are in different pools")
)

// A Source is what a patch of a thin volume holds. It implements [dump.Source].
type Source struct {
	pool  *pool
	old   *volume // the base; nil for a full patch
	new   *volume // what data are read from
	still *volume // the one of both that stands still: a snapshot

	data  *roaring64.Bitmap // blocks to send
	zero  *roaring64.Bitmap // blocks that read as zeros now
	bytes int64             // length of all of them
	runs  int64             // extents

	unasked error   // why the pool could not be asked, and all is sent
	written bool    // see BaseWritten
	kept    *volume // the snapshot of both; or, of two with --to, the one that is the base
	sent    sending

	info  format.Source
	base  *format.Base
	state *format.State
}

var _ dump.Source = (*Source)(nil)

// list asks the pool what to send.
func (s *Source) list(ctx context.Context) (err error) {
	if s.old != nil && s.old.target.Pool != s.new.target.Pool {
		return fmt.Errorf("%s and %s: %w", s.old.name, s.new.name, ErrOtherPool)
	}
	if s.pool, err = openPool(ctx, s.new.target.Pool); err != nil {
		return err
	}
	err = s.ask(ctx)
	if s.old == nil && (errors.Is(err, ErrHeld) || errors.Is(err, ErrPool)) {
		return s.listWhole(err)
	}
	return err
}

// ask flushes the volumes, then reads the pool's metadata. What else it has to know it asks for before.
func (s *Source) ask(ctx context.Context) error {
	if _, err := s.pool.status(ctx); err != nil {
		return err // tells more than what fails because of it
	}
	if err := s.askNotes(ctx); err != nil {
		return err
	}
	if err := s.Inputs().Flush(); err != nil {
		return err
	}
	return s.pool.read(ctx, func(m *metadata.Metadata) error {
		if s.old == nil {
			return s.listAll(ctx, m)
		}
		return s.listChanges(ctx, m)
	})
}

// listWhole lists all of the volume, because the pool can't be asked.
func (s *Source) listWhole(why error) error {
	s.unasked, s.sent.left = why, why
	if len(s.info.Snapshots) > 0 {
		s.info.Snapshots = nil // nothing is noted for them
	}
	if err := s.Inputs().Flush(); err != nil {
		return err
	}
	s.plan(s.all(), roaring64.New())
	return nil
}

// listAll lists what the volume maps. The rest reads as zeros, or from outside the pool.
func (s *Source) listAll(ctx context.Context, m *metadata.Metadata) error {
	mapped, err := m.Mapped(ctx, s.new.target.ID)
	if err != nil {
		return err
	}
	s.plan(mapped, roaring64.AndNot(s.all(), mapped))
	return s.compareSnapshots(ctx, m)
}

// listChanges lists what the volumes map differently. What neither maps is listed where it isn't read from the same place.
// What the new one has past the end of the old one is sent whatever it is: the destination may hold anything there.
func (s *Source) listChanges(ctx context.Context, m *metadata.Metadata) error {
	d, err := s.compare(ctx, m)
	if err != nil {
		return err
	}
	whole, apart := roaring64.New(), roaring64.New()
	if from, to := s.old.file.Size(), s.new.file.Size(); from < to {
		whole.AddRange(uint64(from/s.pool.blockSize()), s.blocks(to))
	}
	again, err := s.sendAgain(ctx, m)
	if err != nil {
		return err
	}
	whole.Or(again)
	apart.AddRange(0, s.blocks(differUpTo(s.old.beneath, s.new.beneath)))
	if s.written { // and may have been discarded from
		apart = s.all()
	}
	if all := roaring64.Or(whole, apart); !all.IsEmpty() {
		mapped, err := m.MappedOf(ctx, s.new.target.ID, all)
		if err != nil {
			return err
		}
		d.Mapped.Or(roaring64.And(mapped, whole))
		d.Unmapped.Or(roaring64.AndNot(all, mapped))
	}
	s.plan(d.Mapped, d.Unmapped)
	return nil
}

// blocks is how many of the pool's blocks a size in bytes takes.
func (s *Source) blocks(size int64) uint64 {
	return uint64((size + s.pool.blockSize() - 1) / s.pool.blockSize())
}

// plan clips what to send to the volume and counts it: what is mapped is data, what isn't is zeros, or data from beneath.
func (s *Source) plan(data, unmapped *roaring64.Bitmap) {
	inside := s.blocks(s.new.file.Size())
	for _, set := range []*roaring64.Bitmap{data, unmapped} {
		if !set.IsEmpty() && set.Maximum() >= inside {
			set.RemoveRange(inside, set.Maximum()+1)
		}
	}
	covered := roaring64.New()
	covered.AddRange(0, s.blocks(s.new.beneath.size()))
	s.data, s.zero = roaring64.Or(data, roaring64.And(unmapped, covered)), roaring64.AndNot(unmapped, covered)
	s.runs, s.bytes = 0, 0
	for e := range s.extents() {
		s.runs++
		s.bytes += e.Len
	}
}

// Header implements [dump.Source].
func (s *Source) Header() format.Header {
	h := format.Header{
		Kind:        format.Full,
		Source:      s.info,
		VolumeSize:  s.new.file.Size(),
		Granularity: s.pool.blockSize(),
		Base:        s.base,
		State:       s.state,
		Planned:     &format.Planned{Extents: s.runs, Bytes: s.bytes},
	}
	if s.old != nil {
		h.Kind = format.Delta
	}
	return h
}

// Extents implements [dump.Source].
func (s *Source) Extents() iter.Seq2[format.Extent, error] {
	return func(yield func(format.Extent, error) bool) {
		for e := range s.extents() {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// extents yields runs of blocks of one kind. The last block may be partial.
func (s *Source) extents() iter.Seq[format.Extent] {
	return func(yield func(format.Extent) bool) {
		block, size := s.pool.blockSize(), s.new.file.Size()
		data, zero := s.data.Iterator(), s.zero.Iterator()
		var run format.Extent
		for data.HasNext() || zero.HasNext() {
			e := format.Extent{Kind: format.Data}
			if !data.HasNext() || zero.HasNext() && zero.PeekNext() < data.PeekNext() {
				e.Kind = format.Zero
				e.Off = int64(zero.Next()) * block
			} else {
				e.Off = int64(data.Next()) * block
			}
			e.Len = min(block, size-e.Off)
			if run.Len > 0 && run.End() == e.Off && run.Kind == e.Kind {
				run.Len += e.Len
				continue
			}
			if run.Len > 0 && !yield(run) {
				return
			}
			run = e
		}
		if run.Len > 0 {
			yield(run)
		}
	}
}

// ReadAt implements [dump.Source].
func (s *Source) ReadAt(p []byte, off int64) (int, error) { return s.new.file.ReadAt(p, off) }

// LogicalBlockSize is the unit, in bytes, in which the data can be read.
func (s *Source) LogicalBlockSize() int { return s.new.file.LogicalBlockSize() }

// Base implements [dump.Source]. What doesn't stand still is none.
func (s *Source) Base() dump.Base {
	if s.old == nil || !s.old.beneath.still {
		return nil
	}
	return s.old.file
}

// Unchanged implements [dump.Source]: it reads the volume that stands still.
func (s *Source) Unchanged() io.ReaderAt {
	if s.still == nil {
		return nil
	}
	return s.still.file
}

// Check implements [dump.Source].
func (s *Source) Check(ctx context.Context) error {
	status, err := devmapper.StatusOfPool(ctx, s.pool.device.Num)
	if err == nil && status.Failed {
		err = fmt.Errorf("the pool %s has failed", s.pool.device.Name)
	}
	for _, v := range []*volume{s.old, s.new} {
		if v != nil && err == nil {
			err = v.check()
		}
	}
	return err
}

// Inputs implements [dump.Source]: what the data are read from, and what that is compared with; first the external origins
// that both may read from, unless nobody can write to them.
func (s *Source) Inputs() dump.Inputs {
	var in dump.Inputs
	add := func(f *blockdev.File, what string, still bool) {
		if f != nil && !slices.ContainsFunc(in, func(i dump.Input) bool { return i.ID() == f.ID() }) {
			in = append(in, dump.Input{File: f, What: what, Still: still})
		}
	}
	for _, v := range s.volumes() {
		if !v.beneath.still {
			add(v.beneath.file, "the external origin", false)
		}
	}
	add(s.new.file, "the volume", s.new == s.still)
	if s.old != nil {
		add(s.old.file, "the base", s.old == s.still || s.base.Snapshot != "")
	}
	return in
}

// volumes are those that the source reads.
func (s *Source) volumes() []*volume {
	if s.old == nil {
		return []*volume{s.new}
	}
	return []*volume{s.old, s.new}
}

// Unasked is why the pool could not be asked what a volume maps, so that all of it is read; nil if it could.
func (s *Source) Unasked() error { return s.unasked }

// Unsteady are the external origins of the volumes that can be written to. What is read from them may change at any time: all
// of it is sent, and no volume that reads from one stands still.
func (s *Source) Unsteady() []*blockdev.File {
	var files []*blockdev.File
	for _, v := range []*volume{s.old, s.new} {
		if v == nil || v.beneath.still {
			continue
		}
		if !slices.ContainsFunc(files, func(f *blockdev.File) bool { return f.ID() == v.beneath.file.ID() }) {
			files = append(files, v.beneath.file)
		}
	}
	return files
}

// ZeroesBlocks tells whether the pool zeroes a block before a volume gets it.
func (s *Source) ZeroesBlocks() bool { return s.pool.zeroes() }

// Close implements [dump.Source].
func (s *Source) Close() error {
	var err error
	for _, v := range []*volume{s.old, s.new} {
		if v != nil {
			err = errors.Join(err, v.close())
		}
	}
	return errors.Join(err, s.sent.reading.end())
}
