package metadata

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

const (
	// parallelReads is how many reads are in flight.
	parallelReads = 16
	// leafWindow is how many leaves of a tree are read ahead.
	leafWindow = 64
	// noRoot stands for a tree with nothing in it. The superblock is no node.
	noRoot = 0
)

// A level is what is left to compare of one level of a tree: subtrees in ascending order, none of
// which the other tree has.
type level struct {
	subtrees []subtree
	depth    int // of their roots
	height   int // levels below them; 0: they are leaves
}

// diff compares two trees, level by level from the roots down. What both have at a level is the
// same for both, whatever lies above it, and is not read, but kept for w.
func (m *Metadata) diff(ctx context.Context, oldRoot, newRoot uint64,
	d *Difference, w *written) error {
	old, err := m.top(oldRoot)
	if err != nil {
		return err
	}
	new, err := m.top(newRoot)
	if err != nil {
		return err
	}
	for old.height > 0 || new.height > 0 {
		descendOld, descendNew := old.height >= new.height, new.height >= old.height
		if descendOld && descendNew {
			w.keep(dropShared(old, new), old)
		}
		if descendOld {
			if err := m.descend(ctx, old); err != nil {
				return err
			}
		}
		if descendNew {
			if err := m.descend(ctx, new); err != nil {
				return err
			}
		}
	}
	w.keep(dropShared(old, new), old)
	return m.compareLeaves(ctx, old, new, d, w)
}

// top is the level of a tree's root. Its height is found by following the first child of each node;
// that all leaves are as far down is checked later.
func (m *Metadata) top(root uint64) (*level, error) {
	if root == noRoot {
		return new(level), nil
	}
	s := subtree{block: root, high: keyLimit}
	l := &level{subtrees: []subtree{s}}
	for {
		n, err := m.readNode(s, l.height)
		if err != nil {
			return nil, err
		}
		if n.leaf {
			return l, nil
		}
		s = n.child(0, s.high)
		l.height++
	}
}

// dropShared drops the subtrees that both levels have, and gives them.
func dropShared(a, b *level) (dropped []subtree) {
	blocks := make(map[uint64]bool, len(a.subtrees))
	for _, s := range a.subtrees {
		blocks[s.block] = true
	}
	shared := make(map[uint64]bool)
	keep := b.subtrees[:0]
	for _, s := range b.subtrees {
		if blocks[s.block] {
			shared[s.block] = true
		} else {
			keep = append(keep, s)
		}
	}
	b.subtrees = keep
	keep = a.subtrees[:0]
	for _, s := range a.subtrees {
		if shared[s.block] {
			dropped = append(dropped, s)
		} else {
			keep = append(keep, s)
		}
	}
	a.subtrees = keep
	return dropped
}

// descend replaces the subtrees by those one level below.
func (m *Metadata) descend(ctx context.Context, l *level) error {
	nodes, err := m.readNodes(ctx, l.subtrees, l.depth, false)
	if err != nil {
		return err
	}
	var below []subtree
	for i, n := range nodes {
		for j := range n.keys {
			below = append(below, n.child(j, l.subtrees[i].high))
		}
	}
	l.subtrees = below
	l.depth++
	l.height--
	return nil
}

// readNodes reads the roots of several subtrees at a time. All of them must be leaves, or none.
func (m *Metadata) readNodes(ctx context.Context, subtrees []subtree, depth int,
	leaves bool) ([]*node, error) {
	nodes := make([]*node, len(subtrees))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for i, s := range subtrees {
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			nodes[i], err = m.readNode(s, depth)
			if err == nil && nodes[i].leaf != leaves {
				err = corrupt(s.block, "not all leaves of the tree are on one level")
			}
			return err
		})
	}
	return nodes, g.Wait()
}

// compareLeaves compares what the leaves of both trees map.
func (m *Metadata) compareLeaves(ctx context.Context, old, new *level,
	d *Difference, w *written) error {
	a, b := &leafCursor{m: m, level: old}, &leafCursor{m: m, level: new}
	if err := errors.Join(a.next(ctx), b.next(ctx)); err != nil {
		return err
	}
	for !a.end || !b.end {
		var err error
		d.Written = d.Written || !a.end && w.is(a)
		switch {
		case b.end || !a.end && a.block < b.block:
			d.Unmapped.Add(a.block)
			err = a.next(ctx)
		case a.end || b.block < a.block:
			d.Mapped.Add(b.block)
			err = b.next(ctx)
		default:
			if a.data != b.data || w.is(a) {
				d.Mapped.Add(b.block)
			}
			if err = a.next(ctx); err == nil {
				err = b.next(ctx)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// timeBits is how many bits of a leaf's value are below the number of the pool's block. They hold
// the time at which it was mapped, see details.
const timeBits = 24

// A leafCursor walks through what the leaves of a level map, in ascending order.
type leafCursor struct {
	m      *Metadata
	level  *level
	read   int // leaves that have been read
	window []*node
	leaf   int // of the window
	entry  int // of the leaf, the next one

	block uint64 // of the volume
	data  uint64 // of the pool
	time  uint64 // when it was mapped
	end   bool   // there are no more
}

// next goes to the next mapping.
func (c *leafCursor) next(ctx context.Context) error {
	for c.leaf == len(c.window) || c.entry == len(c.window[c.leaf].keys) {
		switch {
		case c.leaf < len(c.window):
			c.leaf, c.entry = c.leaf+1, 0
		case c.read == len(c.level.subtrees):
			c.end = true
			return nil
		default:
			if err := c.readWindow(ctx); err != nil {
				return err
			}
		}
	}
	n := c.window[c.leaf]
	c.block, c.data, c.time = n.keys[c.entry], n.values[c.entry]>>timeBits,
		n.values[c.entry]&(1<<timeBits-1)
	c.entry++
	if c.data >= c.m.super.dataBlocks {
		leaf := c.level.subtrees[c.read-len(c.window)+c.leaf].block
		return corrupt(leaf, "block %d is mapped to %d, and the pool has %d", c.block, c.data,
			c.m.super.dataBlocks)
	}
	return nil
}

// readWindow reads the next leaves.
func (c *leafCursor) readWindow(ctx context.Context) (err error) {
	some := c.level.subtrees[c.read:min(c.read+leafWindow, len(c.level.subtrees))]
	c.window, err = c.m.readNodes(ctx, some, c.level.depth, true)
	c.read += len(some)
	c.leaf, c.entry = 0, 0
	return err
}
