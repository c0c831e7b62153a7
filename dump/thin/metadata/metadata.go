// Package metadata reads which blocks of a thin pool its volumes map: the metadata device of
// device-mapper's thin-pool target. It works on bytes behind an [io.ReaderAt] and knows nothing of
// LVM, dmsetup or patches.
//
// The layout is that of struct thin_disk_superblock (drivers/md/dm-thin-metadata.c) and struct
// btree_node (drivers/md/persistent-data/dm-btree-internal.h) in the kernel: blocks of 4096 bytes,
// every integer little-endian, every block with a checksum and its own number in it. A tree leads
// from the id of each thin volume to the root of that volume's tree, which leads from the volume's
// blocks to the pool's. Volumes that stem from one another share nodes, which are never changed in
// place: a node that two trees share holds the same for both.
package metadata

import (
	"context"
	"fmt"
	"io"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// Metadata is a pool's metadata as one superblock tells it: the pool's own, or that of a metadata
// snapshot. It may be used concurrently if its ReaderAt may.
type Metadata struct {
	r      io.ReaderAt
	blocks uint64 // on the device
	super  superblock
}

// Open reads the superblock of a metadata device, or copy, of size bytes. Of an active pool's
// device, only what a metadata snapshot has may be read: see [OpenSnapshot].
func Open(r io.ReaderAt, size int64) (*Metadata, error) {
	m := &Metadata{r: r, blocks: uint64(size / BlockSize)}
	return m, m.readSuperblock(0)
}

// OpenSnapshot reads the superblock of the metadata snapshot in the given block, which the status
// of an active pool tells, like the number of the pool's data blocks, which the kernel wipes from
// the copy. What it leads to stands still until it is released.
func OpenSnapshot(r io.ReaderAt, size int64, block, dataBlocks uint64) (*Metadata, error) {
	m := &Metadata{r: r, blocks: uint64(size / BlockSize)}
	err := m.readSuperblock(block)
	m.super.dataBlocks = dataBlocks
	return m, err
}

func (m *Metadata) readSuperblock(block uint64) error {
	return m.withBlock(block, superblockSalt, func(b []byte) error {
		m.super = parseSuperblock(b)
		return m.super.check()
	})
}

// HeldRoot is the block of the metadata snapshot that is held in the pool, 0 if there is none.
func (m *Metadata) HeldRoot() uint64 { return m.super.heldRoot }

// DataBlockSectors is the size of the pool's blocks in sectors of 512 bytes: 128 (64 KiB) to
// 2097152 (1 GiB), a multiple of 128.
func (m *Metadata) DataBlockSectors() uint32 { return m.super.dataBlockSectors }

// NeedsCheck tells whether the kernel wants the metadata checked before they are used.
func (m *Metadata) NeedsCheck() bool { return m.super.flags&needsCheck != 0 }

// A Difference is what changed from one volume to another, in blocks of the pool's size.
type Difference struct {
	// Mapped are the blocks that the new volume maps, and the old one doesn't or to another block
	// of the pool.
	Mapped *roaring64.Bitmap
	// Unmapped are the blocks that the old volume maps and the new one doesn't.
	Unmapped *roaring64.Bitmap
	// Written tells, after [Metadata.DiffEver], that something was written in the snapshot since it
	// was made.
	Written bool
}

// Diff finds the difference between two volumes of the pool, given by their ids. It reads no node
// that both share.
func (m *Metadata) Diff(ctx context.Context, old, new uint32) (*Difference, error) {
	return m.compare(ctx, old, new, nil)
}

// compare is Diff, and looks for what was written if that is asked for.
func (m *Metadata) compare(ctx context.Context, old, new uint32, w *written) (*Difference, error) {
	oldRoot, err := m.root(ctx, old)
	if err != nil {
		return nil, err
	}
	newRoot, err := m.root(ctx, new)
	if err != nil {
		return nil, err
	}
	d := &Difference{Mapped: roaring64.New(), Unmapped: roaring64.New()}
	if err := m.diff(ctx, oldRoot, newRoot, d, w); err != nil || w == nil {
		return d, err
	}
	return d, m.searchShared(ctx, w, d)
}

// Mapped finds the blocks that a volume of the pool maps.
func (m *Metadata) Mapped(ctx context.Context, id uint32) (*roaring64.Bitmap, error) {
	root, err := m.root(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &Difference{Mapped: roaring64.New(), Unmapped: roaring64.New()}
	return d.Mapped, m.diff(ctx, noRoot, root, d, nil)
}

// root finds the root of a volume's tree.
func (m *Metadata) root(ctx context.Context, id uint32) (uint64, error) {
	return m.find(ctx, m.super.mappingRoot, id, blockValue)
}

// find finds what the tree with that root has of a volume.
func (m *Metadata) find(ctx context.Context, block uint64, id uint32,
	kind valueKind) (uint64, error) {
	low, high := uint64(0), uint64(idLimit)
	for depth := 0; ; depth++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := m.readNodeOf(kind, subtree{block: block, low: low, high: high}, depth)
		if err != nil {
			return 0, fmt.Errorf("find thin volume %d: %w", id, err)
		}
		i, exact := n.find(uint64(id))
		switch {
		case n.leaf && exact:
			return n.values[i], nil
		case n.leaf || i < 0:
			return 0, fmt.Errorf("%w %d", ErrNoVolume, id)
		}
		child := n.child(i, high)
		block, low, high = child.block, child.low, child.high
	}
}
