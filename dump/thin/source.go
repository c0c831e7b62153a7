// Package thin is the source of patches of thin volumes: what changed between two of them, or what
// one of them maps, is told by the pool's metadata, the data are read from the volumes.
package thin

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
)

var (
	// ErrNotThin means that what was named is no thin volume.
	ErrNotThin = errors.New("not a thin volume")
	// ErrNoOrigin means that a thin volume is no snapshot of another one, or that one has been
	// removed.
	ErrNoOrigin = errors.New("not a snapshot of a thin volume, or its origin has been removed")
	// ErrMerging means that what a volume maps doesn't tell what it holds.
	ErrMerging = errors.New("a snapshot is being merged into it")
	// ErrOtherPool means that two volumes have nothing in common to compare.
	ErrOtherPool = errors.New("the volumes are in different pools")
)

// Changes are what a patch of thin volumes holds: what leads from one to another, or from nothing
// to one.
type Changes struct {
	pool  *pool
	old   *volume // the base; nil for a full patch
	new   *volume // what data are read from
	still *volume // the one of both that stands still: a snapshot

	data    *roaring64.Bitmap // blocks to send
	zero    *roaring64.Bitmap // blocks that read as zeros now
	planned format.Planned    // counts both

	unasked error   // why the pool could not be asked, and all is sent
	written bool    // the base was written to, and new stems from it
	kept    *volume // the snapshot of both; or, of two with --to, the one that is the base
	sent    sending

	info  format.Source
	base  *format.Base
	state *format.State
}

// Source is what would be sent as it is known now. What is sent is the source that NoteSent gives.
func (c *Changes) Source() dump.Source {
	src := dump.Source{
		Header:     c.header(),
		Extents:    c.extents(),
		Data:       c.new.file,
		SectorSize: c.new.file.LogicalBlockSize(),
		Inputs:     c.inputs(),
		Check:      c.check,
		Close:      c.Close,
	}
	if c.old != nil && c.old.beneath.still { // else it has no one content to compare with
		src.Base = c.old.file
	}
	if c.still != nil {
		src.Unchanged = c.still.file
	}
	return src
}

func (c *Changes) header() format.Header {
	planned := c.planned
	h := format.Header{
		Kind:        format.Full,
		Source:      c.info,
		VolumeSize:  c.new.file.Size(),
		Granularity: c.pool.blockSize(),
		Base:        c.base,
		State:       c.state,
		Planned:     &planned,
	}
	if c.old != nil {
		h.Kind = format.Delta
	}
	return h
}

// extents yields runs of blocks of one kind, of those that are listed now. The last block may be
// partial.
func (c *Changes) extents() iter.Seq2[format.Extent, error] {
	block, size := c.pool.blockSize(), c.new.file.Size()
	sent, zeros := c.data, c.zero
	return func(yield func(format.Extent, error) bool) {
		data, zero := sent.Iterator(), zeros.Iterator()
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
			if run.Len > 0 && !yield(run, nil) {
				return
			}
			run = e
		}
		if run.Len > 0 {
			yield(run, nil)
		}
	}
}

// check makes sure that pool and volumes are still what they were, and that what was read stays.
func (c *Changes) check(ctx context.Context) error {
	status, err := devmapper.StatusOfPool(ctx, c.pool.device.Num)
	if err == nil && status.Failed {
		err = fmt.Errorf("the pool %s has failed", c.pool.device.Name)
	}
	for _, v := range c.volumes() {
		if err == nil {
			err = v.check()
		}
	}
	if err == nil {
		err = c.endReading()
	}
	return err
}

// inputs are what the data are read from, and what that is compared with; first the external
// origins that both may read from, unless nobody can write to them.
func (c *Changes) inputs() dump.Inputs {
	var in dump.Inputs
	add := func(f *blockdev.File, what string, still bool) {
		same := func(i dump.Input) bool { return i.ID() == f.ID() }
		if f != nil && !slices.ContainsFunc(in, same) {
			in = append(in, dump.Input{File: f, What: what, Still: still})
		}
	}
	for _, v := range c.volumes() {
		if !v.beneath.still {
			add(v.beneath.file, "the external origin", false)
		}
	}
	add(c.new.file, "the volume", c.new == c.still)
	if c.old != nil {
		add(c.old.file, "the base", c.old == c.still || c.base.Snapshot != "")
	}
	return in
}

// volumes are those that the source reads.
func (c *Changes) volumes() []*volume {
	if c.old == nil {
		return []*volume{c.new}
	}
	return []*volume{c.old, c.new}
}

// Unasked is why the pool could not be asked what a volume maps, so that all of it is read; nil if
// it could.
func (c *Changes) Unasked() error { return c.unasked }

// Unsteady are the external origins of the volumes that can be written to. What is read from them
// may change at any time: all of it is sent, and no volume that reads from one stands still.
func (c *Changes) Unsteady() []*blockdev.File {
	var files []*blockdev.File
	for _, v := range c.volumes() {
		if v.beneath.still {
			continue
		}
		same := func(f *blockdev.File) bool { return f.ID() == v.beneath.file.ID() }
		if !slices.ContainsFunc(files, same) {
			files = append(files, v.beneath.file)
		}
	}
	return files
}

// ZeroesBlocks tells whether the pool zeroes a block before a volume gets it.
func (c *Changes) ZeroesBlocks() bool { return c.pool.zeroes() }

// Close closes the volumes, deactivates those that were activated to be read, and tells that none
// is read any more. So does the source's.
func (c *Changes) Close() error {
	var err error
	for _, v := range []*volume{c.old, c.new} {
		if v != nil {
			err = errors.Join(err, v.close())
		}
	}
	return errors.Join(err, c.sent.reading.end())
}
