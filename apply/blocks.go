package apply

import (
	"fmt"
	"iter"
	"os"

	"lvmsync/format"
	"lvmsync/format/refine"
	"lvmsync/format/storage"
)

// poolBlocks are those parts of a destination that lie in pools which do not zero their
// blocks. There, what reads as zeros need not stay so: the first write into a block
// that isn't mapped, however small, uncovers in all the rest of it what the pool's
// disk held. So a block that is written at all is written whole.
//
// For one goroutine at a time, the one that writes.
type poolBlocks struct {
	parts   []storage.ThinPart // in order
	whole   format.Extent
	settled int64             // blocks that end here or before can be written in part
	filling func(pool string) // told before the first block is filled
	filled  bool
	out     *os.File  // for writing past the page cache; nil until it's needed
	buf     [2][]byte // for a piece each: to fill, and to make zeros
}

// findThin finds out what parts of the destination lie in thin pools.
func (d *destination) findThin(o Options) error {
	if !d.isDevice {
		return nil // a file system answers for what isn't written
	}
	var parts []storage.ThinPart
	id, err := o.system.identify(d.path)
	if err == nil {
		parts, err = o.system.thinParts(id)
	}
	switch {
	case err != nil && !o.Force:
		return fmt.Errorf("find out what a write to %s does to what is beside it: %w; "+
			"have the pool zero its blocks (lvchange -Zy); --force writes all the same, "+
			"and zeros beside what is written may become what the disk held before", d.path, err)
	case err != nil:
		o.Warn(fmt.Sprintf("it is not known what a write to %s does to what is beside it: %v",
			d.path, err))
	}
	d.isThin = len(parts) == 1 && parts[0].Direct && parts[0].Off == 0 && parts[0].Len >= d.size
	for _, p := range parts {
		p.Len = min(p.Len, d.size-p.Off) // what is below can go on
		if !p.Zeroes && p.Len > 0 {
			d.blocks.parts = append(d.blocks.parts, p)
		}
	}
	return nil
}

// any tells whether there are any.
func (b *poolBlocks) any() bool { return len(b.parts) > 0 }

// in yields the blocks that [off, end) touches, as far as they are in the destination.
func (b *poolBlocks) in(off, end int64) iter.Seq2[format.Extent, storage.ThinPart] {
	return func(yield func(format.Extent, storage.ThinPart) bool) {
		for _, p := range b.parts {
			for at := max(off, p.Off); at < min(end, p.Off+p.Len); {
				start := blockAt(p, at)
				block := format.Extent{Off: max(start, p.Off)}
				block.Len = min(start+p.Block, p.Off+p.Len) - block.Off
				if !yield(block, p) {
					return
				}
				at = block.End()
			}
		}
	}
}

// inPages does the same for the pages of the cache around [off, end): they may be
// written whole.
func (b *poolBlocks) inPages(off, end int64) iter.Seq2[format.Extent, storage.ThinPart] {
	page := int64(max(os.Getpagesize(), zeroAlign))
	return b.in(off/page*page, (end+page-1)/page*page)
}

// blockAt is where the block of a part with the byte at off begins.
func blockAt(p storage.ThinPart, off int64) int64 { return off - (off-p.First)%p.Block }

// split cuts [off, end) where there is only a part of a block in it.
func (b *poolBlocks) split(off, end int64) iter.Seq2[format.Extent, bool] {
	return func(yield func(e format.Extent, partial bool) bool) {
		part := func(from, to int64, partial bool) bool {
			e := format.Extent{Off: from, Len: to - from, Kind: format.Zero}
			return e.Len <= 0 || yield(e, partial)
		}
		for _, p := range b.parts {
			from, to := max(off, p.Off), min(end, p.Off+p.Len)
			if from >= to {
				continue
			}
			head, tail := from, to
			if from > p.Off {
				head = min(to, blockAt(p, from+p.Block-1))
			}
			if to < p.Off+p.Len {
				tail = max(head, blockAt(p, to))
			}
			if !part(off, from, false) || !part(from, head, true) ||
				!part(head, tail, false) || !part(tail, to, true) {
				return
			}
			off = to
		}
		part(off, end, false)
	}
}

// have tells whether any of [off, end) is in a block.
func (b *poolBlocks) have(off, end int64) bool {
	for range b.in(off, end) {
		return true
	}
	return false
}

// contains tells whether all of a block is within an extent.
func contains(e, block format.Extent) bool { return e.Off <= block.Off && block.End() <= e.End() }

// settle prepares for a write of [off, end), which must not be before an earlier one:
// what else there is of its blocks is written first, unless that comes with the patch.
func (d *destination) settle(off, end int64) error {
	b := &d.blocks
	for block, part := range b.inPages(off, end) {
		if block.End() <= b.settled {
			continue
		}
		if !contains(format.Extent{Off: off, Len: end - off}, block) && !contains(b.whole, block) {
			d.touched = true
			if err := d.fill(block, part); err != nil {
				return d.fail(err)
			}
		}
		b.settled = block.End()
	}
	return nil
}

// zeroInBlocks makes [off, off+size) zeros where blocks are. Whole ones are left to
// makeZeros; a part of one that is zeros already is left alone, for whatever is written
// to the rest of it fills it first. If the rest comes with the patch it won't be filled,
// and what reads as zeros now isn't known to stay so.
func (d *destination) zeroInBlocks(off, size int64) error {
	for e, partial := range d.blocks.split(off, off+size) {
		var err error
		switch {
		case partial:
			err = d.zeroInBlock(e)
		case d.blocks.have(e.Off, e.End()):
			if err = d.settle(e.Off, e.End()); err == nil {
				err = d.zeroLater(e)
			}
		default:
			err = d.zeroOutside(e.Off, e.Len)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// zeroInBlock makes a part of one block zeros.
func (d *destination) zeroInBlock(e format.Extent) error {
	for block := range d.blocks.in(e.Off, e.End()) {
		if contains(d.blocks.whole, block) {
			return writeZeros(d.write, e.Off, e.Len)
		}
	}
	was := d.blocks.buffer(1)
	return pieces(e, func(off, n int64) error {
		if _, err := d.ReadAt(was[:n], off); err != nil {
			return writeZeros(d.write, off, n)
		}
		for x := range refine.Runs(off, zeros[:n], was[:n]) {
			if err := d.write(zeros[:x.Len], x.Off); err != nil {
				return err
			}
		}
		return nil
	})
}

// wholeBlocks tells whether an extent that is to be zeros is one of whole blocks of a
// thin volume: the last one can end within what is aligned elsewhere.
func (d *destination) wholeBlocks(e format.Extent) bool {
	return d.isThin && d.blocks.have(e.Off, e.End())
}
