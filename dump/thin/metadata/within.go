package metadata

import (
	"context"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// MappedOf finds which of some blocks a volume of the pool maps. It reads no node that has none of
// them.
func (m *Metadata) MappedOf(ctx context.Context, id uint32,
	blocks *roaring64.Bitmap) (*roaring64.Bitmap, error) {
	root, err := m.root(ctx, id)
	if err != nil {
		return nil, err
	}
	l, err := m.top(root)
	for err == nil && l.height > 0 {
		l.keepWithin(blocks)
		err = m.descend(ctx, l)
	}
	if err != nil {
		return nil, err
	}
	l.keepWithin(blocks)
	mapped := roaring64.New()
	c := &leafCursor{m: m, level: l}
	for {
		if err := c.next(ctx); err != nil {
			return nil, err
		}
		if c.end {
			break
		}
		mapped.Add(c.block)
	}
	mapped.And(blocks)
	return mapped, nil
}

// keepWithin drops the subtrees that have none of the blocks.
func (l *level) keepWithin(blocks *roaring64.Bitmap) {
	next, keep := blocks.Iterator(), l.subtrees[:0]
	for _, s := range l.subtrees {
		if next.AdvanceIfNeeded(s.low); !next.HasNext() {
			break
		}
		if next.PeekNext() < s.high {
			keep = append(keep, s)
		}
	}
	l.subtrees = keep
}
