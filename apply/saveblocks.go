package apply

import (
	"context"
	"fmt"

	"lvmsync/format"
	"lvmsync/format/refine"
)

// save adds to the undo patch what of old, which is what the destination holds from off
// on, changes to shall. What a block of a pool that does not zero it holds is saved
// whole if the block isn't mapped, or is unmapped in between: should the power fail,
// any of it may be lost.
func (p *replay) save(ctx context.Context, off int64, old, shall []byte) error {
	blocks := &p.dest.blocks
	if len(blocks.parts) == 0 {
		return p.undo.add(off, old, shall)
	}
	for e := range refine.Runs(off, shall, old) {
		add := func(to int64) error {
			from := e.Off
			if to = min(to, e.End()); to <= from {
				return nil
			}
			e.Off, e.Len = to, e.End()-to
			return p.undo.add(from, old[from-off:to-off], shall[from-off:to-off])
		}
		for block, part := range blocks.inPages(e.Off, e.End()) {
			err := add(block.Off)
			if err == nil {
				err = p.saveBlock(ctx, block, part.Direct && e.Kind == format.Data)
			}
			if err == nil {
				err = add(block.End())
			}
			if err != nil {
				return err
			}
		}
		if err := add(e.End()); err != nil {
			return err
		}
	}
	return nil
}

// saveZeros does the same for an extent that is to be made zeros. Blocks that are zeros
// already are saved, too: they may be written all the same, or unmapped.
func (p *replay) saveZeros(ctx context.Context, e format.Extent) error {
	at := e.Off
	for block := range p.dest.blocks.inPages(e.Off, e.End()) {
		if block.End() <= p.saved {
			continue
		}
		err := p.addZeros(ctx, at, min(block.Off, e.End()))
		if err == nil {
			err = p.saveBlock(ctx, block, false)
		}
		if err != nil {
			return err
		}
		at = min(block.End(), e.End())
	}
	return p.addZeros(ctx, at, e.End())
}

// addZeros saves what of [from, to) is to be made zeros and isn't.
func (p *replay) addZeros(ctx context.Context, from, to int64) error {
	return p.read(ctx, format.Extent{Off: from, Len: max(0, to-from)}, func(off int64, old []byte) error {
		return p.undo.add(off, old, zeros[:len(old)])
	})
}

// read reads an extent piece by piece, and commits what has been saved of that when it
// is enough.
func (p *replay) read(ctx context.Context, e format.Extent, add func(off int64, old []byte) error) error {
	if p.block == nil {
		p.block = alignedBuffer(pieceSize)
	}
	return pieces(e, func(off, n int64) error {
		b := p.block[:n]
		if err := readFull(ctx, p.dest, b, off); err != nil {
			return err
		}
		if err := add(off, b); err != nil || p.undo.pending < undoBatch {
			return err
		}
		return p.commit(ctx)
	})
}

// saveBlock saves a block, once; if it stays mapped where it is, only if it's all zeros.
func (p *replay) saveBlock(ctx context.Context, block format.Extent, stays bool) error {
	if block.End() <= p.saved {
		return nil
	}
	p.saved = block.End()
	if stays && !p.dest.isZero(block) {
		return nil
	}
	return p.read(ctx, block, p.undo.addWhole)
}

// unzeroedWarning says what a failing power would do.
func unzeroedWarning(path, pool string, u *undo) string {
	then := "start anew from a full patch"
	if u != nil {
		then = "apply the undo patch before anything else"
	}
	return fmt.Sprintf("%s lies in the thin pool %s, which does not zero its blocks: "+
		"if the power fails during this run, what the patch leaves alone may be lost, too; then %s", path, pool, then)
}
