package apply

import (
	"context"
	"fmt"

	"lvmsync/format"
)

// A keeper saves in the undo patch what changes replace. In a pool that does not zero its
// blocks that is also what a block holds beside them, if the block isn't mapped or is
// unmapped in between: should the power fail, any of it may be lost.
type keeper struct {
	journal *journal
	dest    *destination
	there   *spans // what it holds, with what is coming of zero extents
	kept    int64  // blocks that end here or before need not be saved any more
	synced  bool   // a part of what a change replaces is durable, for all of it was too much
}

// isFull tells whether so much has been saved that it shall be handed over.
func (k *keeper) isFull() bool { return k.synced || k.journal.isFull() }

// handOver is that of the journal.
func (k *keeper) handOver() (makeDurable func() error, err error) {
	k.synced = false
	return k.journal.handOver()
}

// save saves what a change replaces.
func (k *keeper) save(ctx context.Context, d difference) (err error) {
	at := max(d.Off, d.from)
	if k.dest.blocks.any() {
		at, err = k.saveBlocks(ctx, d, at)
	}
	if err == nil {
		err = k.add(ctx, d, at, d.End())
	}
	return err
}

// saveBlocks saves what a change replaces from at on, and its blocks, up to where it returns.
// A block is saved whole once, before anything is written to it; if it stays mapped where it
// is, only if it's all zeros.
func (k *keeper) saveBlocks(ctx context.Context, d difference, at int64) (int64, error) {
	for block, part := range k.dest.blocks.inPages(d.Off, d.End()) {
		if block.End() <= k.kept {
			continue
		}
		k.kept = block.End()
		if err := k.add(ctx, d, at, block.Off); err != nil {
			return 0, err
		}
		at = max(at, block.Off)
		if part.Direct && d.Kind == format.Data && !k.dest.isZero(block) {
			continue
		}
		if err := k.read(ctx, block, k.journal.addWhole); err != nil {
			return 0, err
		}
		at = max(at, block.End())
	}
	return at, nil
}

// add saves what of [from, to) a change replaces.
func (k *keeper) add(ctx context.Context, d difference, from, to int64) error {
	if to = min(to, d.End()); to <= from {
		return nil
	}
	if d.is != nil {
		return k.journal.add(from, d.is[from-d.Off:to-d.Off], d.data[from-d.Off:to-d.Off])
	}
	return k.read(ctx, format.Extent{Off: from, Len: to - from}, func(off int64, is []byte) error {
		return k.journal.add(off, is, zeros[:len(is)])
	})
}

// read reads an extent piece by piece. A block may be larger than what can wait for the next
// batch: what has been saved of it is made durable when that is enough.
func (k *keeper) read(
	ctx context.Context, e format.Extent, save func(off int64, is []byte) error,
) error {
	return pieces(e, func(off, n int64) error {
		is, err := k.there.view(ctx, off, n)
		if err == nil {
			err = save(off, is)
		}
		if err != nil || !k.dest.blocks.any() || !k.journal.isFull() {
			return err
		}
		makeDurable, err := k.journal.handOver()
		if err == nil {
			err = makeDurable()
		}
		k.synced = true
		return err
	})
}

// unzeroedWarning says what a failing power would do.
func unzeroedWarning(path, pool string, j *journal) string {
	then := "start anew from a full patch"
	if j != nil {
		then = "apply the undo patch before anything else"
	}
	return fmt.Sprintf("%s lies in the thin pool %s, which does not zero its blocks: "+
		"if the power fails during this run, what the patch leaves alone may be lost, too; "+
		"then %s", path, pool, then)
}
