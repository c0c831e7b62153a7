package apply

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"lvmsync/format"
)

// A world is made up at random: an image, and patches that follow one another. What
// they make of it is known without package format or apply: bytes are copied.
type world struct {
	rnd   *rand.Rand
	grid  int64         // extents begin on multiples of it
	state []byte        // the volume as the last patch leaves it
	first []byte        // and as it was before all of them
	chain []*modelPatch // the patches
	names bool          // each patch names the one that it follows
	exact bool          // patches may be exact
	zeros int           // of 8 parts of what is made up, so many are zeros

	create bool   // the destination doesn't exist
	old    []byte // what the destination holds, zeros if it doesn't exist
	new    []byte // what it shall hold
}

func newWorld(t testing.TB, rnd *rand.Rand, zeros int) *world {
	t.Helper()
	w := &world{rnd: rnd, grid: format.SectorSize, names: rnd.IntN(4) > 0, zeros: zeros}
	patches := max(1, rnd.IntN(6)-1)
	if rnd.IntN(2) == 0 {
		w.grid = block
	}
	// What a chain that was broken off has left of a block that several patches have
	// parts of, no base hash knows.
	w.exact = patches == 1 || w.grid == block
	w.state = make([]byte, w.size())
	w.scribble(w.state)
	w.first = w.state
	for i := range patches {
		w.addPatch(t, i == 0 && rnd.IntN(2) == 0)
	}
	w.makeDestination()
	return w
}

// length is a random number up to most; small ones are as likely as large ones.
func (w *world) length(most int64) int64 {
	n := int64(1)
	for n < most && w.rnd.IntN(16) > 0 {
		n *= 2
	}
	return min(most, n+w.rnd.Int64N(n))
}

// size is one for a volume, seldom more than is saved at a time for an undo patch.
func (w *world) size() int64 {
	n := w.length(1 << 18)
	switch w.rnd.IntN(80) {
	case 0:
		n += undoBatch
	case 1, 2, 3, 4, 5:
		n += w.length(4 << 20)
	}
	if unit := []int64{1, 512, 4096, 65536}[w.rnd.IntN(4)]; n > unit {
		n = n / unit * unit
	}
	return n
}

// scribble fills b with stretches of noise, of one byte, and of zeros.
func (w *world) scribble(b []byte) {
	var seed [32]byte
	seed[0], seed[1], seed[2] = byte(w.rnd.Uint32()), byte(w.rnd.Uint32()), byte(w.rnd.Uint32())
	noise := rand.NewChaCha8(seed)
	for len(b) > 0 {
		n := w.length(int64(len(b)))
		switch kind := w.rnd.IntN(8); {
		case kind < w.zeros:
			clear(b[:n])
		case kind%4 == 1:
			copy(b[:n], bytes.Repeat(seed[:1], int(n)))
		default:
			noise.Read(b[:n])
		}
		b = b[n:]
	}
}

// addPatch makes up the next patch.
func (w *world) addPatch(t testing.TB, full bool) {
	t.Helper()
	p := &modelPatch{base: w.state, header: ordered(byte(len(w.chain)+1), len(w.chain))}
	after := slices.Clone(w.state)
	if len(w.chain) > 0 && w.rnd.IntN(4) == 0 { // the volume has grown
		after = append(after, make([]byte, w.size())...)
	}
	p.header.VolumeSize, p.header.Granularity = int64(len(after)), w.grid
	if full {
		p.header.Kind = format.Full
	} else {
		p.header.Base = &format.Base{Exact: w.exact && w.rnd.IntN(2) == 0}
		p.hashes = p.exact() || w.exact && w.rnd.IntN(3) == 0
		if p.hashes && w.rnd.IntN(3) == 0 {
			p.header.Base.HashSeed = format.Hash(w.rnd.Uint32()) + 1
			p.header.RequiredFeatures = []string{format.BaseHashSeed}
		}
		if w.names && len(w.chain) > 0 {
			p.header.Base.Patch = w.chain[len(w.chain)-1].header.ID
		}
	}
	for _, e := range w.extents(int64(len(w.state)), int64(len(after)), p) {
		w.addPiece(p, e, after)
	}
	if !full && w.rnd.IntN(4) > 0 {
		w.takeFingerprint(p)
	}
	p.encode(t, w)
	w.chain = append(w.chain, p)
	w.state = after
}

// extents makes up extents of a volume that had the size was. What has come to it
// since is in the patch, all of it. Where there are base hashes, they are those of
// blocks.
func (w *world) extents(was, size int64, p *modelPatch) (extents []format.Extent) {
	tail := size
	if size > was {
		tail = was / w.grid * w.grid
	}
	longest := w.length(1 << 20)
	chance := w.rnd.IntN(5) // of 4, for each place
	for off := int64(0); off < size; {
		n := (w.length(longest) + w.grid - 1) / w.grid * w.grid
		if off < tail {
			n = min(n, tail-off)
		}
		if p.hashes {
			n = min(n, block-off%block)
		}
		e := format.Extent{Off: off, Len: min(n, size-off), Kind: format.ExtentKind(w.rnd.IntN(2))}
		off = e.End()
		if p.isFull() || e.Off >= tail || w.rnd.IntN(4) < chance {
			extents = append(extents, e)
		}
	}
	return extents
}

// makeDestination makes up what the destination holds: the base, but whatever there
// is where the first patch doesn't care; larger than the volume, or smaller.
func (w *world) makeDestination() {
	size := int64(len(w.state))
	w.old = make([]byte, size)
	w.scribble(w.old)
	w.create = w.chain[0].isFull() && w.rnd.IntN(3) == 0
	switch n := w.rnd.IntN(6); {
	case w.create:
		clear(w.old)
	case n == 0:
		more := make([]byte, w.length(1<<16))
		w.scribble(more)
		w.old = append(w.old, more...)
	case n == 1:
		w.old = w.old[:w.length(size)]
	}
	if first := w.chain[0]; !first.isFull() {
		whatever := slices.Clone(w.old)
		copy(w.old, w.first)
		for _, x := range first.pieces {
			if !first.hashes && x.End() <= int64(len(w.old)) && w.rnd.IntN(2) == 0 {
				copy(w.old[x.Off:x.End()], whatever[x.Off:])
			}
		}
	}
	w.new = w.after(w.old)
}

// after is what becomes of a destination.
func (w *world) after(old []byte) []byte {
	b := slices.Clone(old)
	for _, p := range w.chain {
		p.onto(b)
	}
	return b
}

// String describes the world for messages.
func (w *world) String() string {
	text := fmt.Sprintf("onto %d bytes, grid %d", len(w.old), w.grid)
	for _, p := range w.chain {
		text += fmt.Sprintf("; %s patch of %d bytes, %d extents", p.header.Kind,
			p.header.VolumeSize, len(p.pieces))
		if b := p.header.Base; b != nil {
			text += fmt.Sprintf(", exact %t, %d samples", b.Exact, len(b.Fingerprint))
		}
	}
	return text
}
