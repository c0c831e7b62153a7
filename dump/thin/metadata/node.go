package metadata

import (
	"fmt"
	"sort"
)

const (
	nodeHeader = 32 // struct node_header
	keySize    = 8

	flagInternal = 1
	flagLeaf     = 2

	// maxDepth is more than a tree of all the blocks that a device can have needs: a node has at
	// least two children.
	maxDepth = 64
	// keyLimit is above every key: a block of a volume.
	keyLimit = 1 << 63
	// idLimit is above every id of a thin volume (24 bits).
	idLimit = 1 << 24
)

// A valueKind is what the leaves of a tree have of each key.
type valueKind struct {
	size int // in bytes
	word int // where in it the 8 bytes are that count
}

var (
	blockValue = valueKind{size: 8} // a block's number, or a mapping
	// the times of a volume: when it was made, when the last snapshot of it
	detailsValue = valueKind{size: 24, word: 16}
)

// A subtree is a part of a tree that hasn't been read: what lies in [low, high).
type subtree struct {
	block     uint64
	low, high uint64
}

// A node is a node of a tree: keys ascend, and each has a value: in a leaf what the tree is for,
// else the block of the subtree with the keys from this one on.
type node struct {
	leaf   bool
	keys   []uint64
	values []uint64
}

// readNode reads and checks the root of a subtree, which is depth nodes below the root of the tree.
func (m *Metadata) readNode(s subtree, depth int) (*node, error) {
	return m.readNodeOf(blockValue, s, depth)
}

// readNodeOf is readNode for a tree with leaves of another kind.
func (m *Metadata) readNodeOf(kind valueKind, s subtree, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, corrupt(s.block, "the tree is more than %d levels deep: it has a loop",
			maxDepth)
	}
	var n *node
	err := m.withBlock(s.block, nodeSalt, func(b []byte) (err error) {
		if n, err = parseNode(b, kind); err != nil {
			return err
		}
		return n.check(s, depth)
	})
	return n, err
}

// parseNode reads the kernel's struct btree_node.
func parseNode(b []byte, kind valueKind) (*node, error) {
	flags, entries, most, size := le.Uint32(b[4:]), le.Uint32(b[16:]),
		le.Uint32(b[20:]), le.Uint32(b[24:])
	if flags != flagLeaf {
		kind = blockValue
	}
	switch {
	case flags != flagInternal && flags != flagLeaf:
		return nil, fmt.Errorf("flags are %#x, neither internal node nor leaf", flags)
	case int(size) != kind.size:
		return nil, fmt.Errorf("values of %d bytes, not %d", size, kind.size)
	case int(most) > (BlockSize-nodeHeader)/(keySize+kind.size):
		return nil, fmt.Errorf("room for %d entries is more than fits", most)
	case entries > most:
		return nil, fmt.Errorf("%d entries in a node for %d", entries, most)
	}
	n := &node{leaf: flags == flagLeaf, keys: make([]uint64, entries),
		values: make([]uint64, entries)}
	for i := range n.keys {
		n.keys[i] = le.Uint64(b[nodeHeader+i*keySize:])
		n.values[i] = le.Uint64(b[nodeHeader+int(most)*keySize+i*kind.size+kind.word:])
	}
	return n, nil
}

// check checks what a node has to be in its place.
func (n *node) check(s subtree, depth int) error {
	if len(n.keys) == 0 && (depth > 0 || !n.leaf) {
		return fmt.Errorf("it has no entries")
	}
	next := s.low
	for _, k := range n.keys {
		if k < next || k >= s.high {
			return fmt.Errorf("key %d is out of order or not within [%d, %d)", k, next, s.high)
		}
		next = k + 1
	}
	return nil
}

// find gives the last entry whose key is not above the given one, -1 if there is none, and whether
// it's that key.
func (n *node) find(key uint64) (i int, exact bool) {
	i = sort.Search(len(n.keys), func(i int) bool { return n.keys[i] > key }) - 1
	return i, i >= 0 && n.keys[i] == key
}

// child is the subtree of an entry of an internal node, all keys of which are below high.
func (n *node) child(i int, high uint64) subtree {
	s := subtree{block: n.values[i], low: n.keys[i], high: high}
	if i+1 < len(n.keys) {
		s.high = n.keys[i+1]
	}
	return s
}
