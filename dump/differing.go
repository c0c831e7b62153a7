package dump

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"lvmsync/dump/blockdev"
	"lvmsync/format"
	"lvmsync/format/refine"
	"lvmsync/format/sigfile"
)

// differing is the strategy to send which blocks of the extents differ from the base: from what
// that holds, or from its sums.
type differing struct {
	data      Reader
	losses    *losses
	base      Base // or nil
	sums      Sums // or nil
	blockSize int64
	shared    int64     // length of what can be compared, in bytes
	scratch   sync.Pool // of scratch
}

// newDiffering compares with the source's sums, or in blocks of blockSize bytes with its base; 0:
// refine.BlockSize.
func newDiffering(src Source, blockSize int64) *differing {
	d := &differing{data: src.Data, losses: src.losses, shared: src.Shared()}
	if src.Sums != nil {
		d.sums, d.blockSize = src.Sums, src.Sums.BlockSize()
	} else {
		d.base, d.blockSize = src.Base, cmp.Or(blockSize, refine.BlockSize)
	}
	d.scratch.New = d.newScratch
	return d
}

// scratch is where a reader compares.
type scratch struct{ now, old []byte }

func (d *differing) newScratch() any {
	size := int(d.piece())
	s := &scratch{now: blockdev.AlignedBuffer(size)}
	if d.base != nil {
		s.old = blockdev.AlignedBuffer(size)
	}
	return s
}

func (d *differing) willNeed(off, n int64) {
	d.data.WillNeed(off, n)
	if d.base != nil {
		d.base.WillNeed(off, n)
	}
}

// piece is how much is compared at a time, in bytes: whole blocks, and little enough
// to stay in a processor's cache.
func (d *differing) piece() int64 { return max(readSize, d.blockSize) }

// take plans a piece.
func (d *differing) take(b *batch, e format.Extent) (format.Extent, error) {
	if e.Kind == format.Zero && d.sums != nil {
		return d.takeHole(b, e)
	}
	part := d.nextPiece(e)
	part.Kind = format.Data // to be compared like everything else
	rest := b.take(part)
	part.Len -= rest.Len
	var err error
	b.sums, err = d.takeSums(b.sums, part)
	e.Off, e.Len = part.End(), e.End()-part.End()
	return e, err
}

// nextPiece is the first part of an extent that is compared in one.
func (d *differing) nextPiece(e format.Extent) format.Extent {
	e.Len = min(e.Len, d.piece()-e.Off%d.piece())
	if e.Off < d.shared {
		e.Len = min(e.Len, d.shared-e.Off)
	}
	return e
}

// takeHole plans what differs in the first block of a hole of the volume without reading that: what
// the sums say is not zeros in the base.
func (d *differing) takeHole(b *batch, e format.Extent) (format.Extent, error) {
	x := format.Record{Extent: e}
	if e.Off < d.shared {
		x.Len = min(e.Len, d.blockSize)
		s, err := d.sums.Sum(e.Off)
		if err != nil {
			return e, err
		}
		x.HasBase, x.BaseHash = !s.Zero, s.Hash
	}
	if x.HasBase || e.Off >= d.shared {
		b.seg.Records = append(b.seg.Records, x)
	}
	b.bytes += x.Len
	e.Off, e.Len = x.End(), e.End()-x.End()
	return e, nil
}

// maxBatchBytes is how much of the volume a batch with little data is about, in bytes, so
// that the progress goes on.
const maxBatchBytes = 256 << 20

func (d *differing) full(b *batch) bool { return b.full() || b.bytes > maxBatchBytes }

// sumsIn is how many sums there are for an extent.
func (d *differing) sumsIn(e format.Extent) int {
	if d.sums == nil || e.Off >= d.shared {
		return 0
	}
	return int((e.Len + d.blockSize - 1) / d.blockSize)
}

// takeSums appends to list the sums for an extent.
func (d *differing) takeSums(list []BlockSum, e format.Extent) ([]BlockSum, error) {
	for i := range int64(d.sumsIn(e)) {
		s, err := d.sums.Sum(e.Off + i*d.blockSize)
		if err != nil {
			return list, err
		}
		list = append(list, s)
	}
	return list, nil
}

// prepare makes room for what each read finds to differ, and hands out the sums.
func (d *differing) prepare(b *batch) {
	b.differs = slices.Grow(b.differs[:0], len(b.reads))[:len(b.reads)]
	sums := b.sums
	for i, r := range b.reads {
		room := b.differs[i].records[:0]
		b.differs[i] = differences{planned: len(r.records), sums: sums, records: room}
		for _, x := range r.records {
			sums = sums[d.sumsIn(x.Extent):]
		}
	}
}

// read leaves in the batch what differs of the records.
func (d *differing) read(r read) error {
	s := d.scratch.Get().(*scratch)
	defer d.scratch.Put(s)
	found := &r.differs[r.number]
	found.data = r.data[:0]
	for _, x := range r.records {
		now := s.now[:x.Len]
		if err := readExtent(d.data, now, x.Extent); err != nil {
			return err
		}
		old, err := d.readBase(s.old, x.Extent)
		if err != nil {
			return err
		}
		n := d.sumsIn(x.Extent)
		d.compare(found, x.Extent, now, old, found.sums[:n])
		found.sums = found.sums[n:]
	}
	return nil
}

// baseData is what the base holds in an extent; no data if it has nothing there, or only sums.
type baseData struct {
	data    []byte
	unknown []format.Extent // of which the data say nothing, ascending
}

// readBase reads that.
func (d *differing) readBase(buf []byte, e format.Extent) (old baseData, err error) {
	if d.base == nil || e.Off >= d.shared {
		return baseData{}, nil
	}
	old.data = buf[:e.Len]
	for rest := e; rest.Len > 0; {
		err := readExtent(d.base, old.data[rest.Off-e.Off:], rest)
		if err == nil {
			break
		}
		unknown, err := unknownPart(err)
		if err == nil && unknown.End() <= rest.Off {
			err = fmt.Errorf("internal error: the base does not know %v, expected from %d on",
				unknown, rest.Off)
		}
		if err != nil {
			return baseData{}, fmt.Errorf("compare with the base: %w", err)
		}
		old.unknown = append(old.unknown, unknown)
		rest.Off, rest.Len = unknown.End(), e.End()-unknown.End()
	}
	return old, nil
}

// unknownPart is what isn't known of the base where reading it gave an error; other errors it
// returns.
func unknownPart(err error) (format.Extent, error) {
	var unknown *UnknownError
	var u unreadableError // which speaks of the source
	switch {
	case errors.As(err, &unknown):
		return unknown.Extent, nil
	case errors.As(err, &u):
		err = u.error
	}
	return format.Extent{}, err
}

// compare adds what of an extent, which the volume holds now, differs.
func (d *differing) compare(found *differences, e format.Extent, now []byte, old baseData,
	sums []BlockSum) {
	for part := range cut(e, d.losses.in(e.Off, e.End())) {
		from, to := part.Off-e.Off, part.End()-e.Off
		switch {
		case part.Lost:
			found.records = append(found.records, part)
		case old.data != nil && len(old.unknown) == 0:
			found.addByBase(part.Off, now[from:to], old.data[from:to], d.blockSize)
		case old.data != nil:
			old := baseData{old.data[from:to], old.unknown}
			d.compareHeld(found, part.Extent, now[from:to], old)
		case len(sums) > 0 && part.Len == e.Len:
			found.addBySums(d, e.Off, now, sums)
		default: // no base, or that of a part of a block, of which no sum tells
			found.add(refine.Runs(part.Off, now[from:to], nil))
		}
	}
}

// compareHeld adds what of an extent differs from what the base holds there, or may.
func (d *differing) compareHeld(found *differences, e format.Extent, now []byte, old baseData) {
	for part := range cut(e, old.unknown) {
		from, to := part.Off-e.Off, part.End()-e.Off
		if part.Lost {
			found.add(refine.Runs(part.Off, now[from:to], nil))
			continue
		}
		found.addByBase(part.Off, now[from:to], old.data[from:to], d.blockSize)
	}
}

// finish gathers what differs.
func (d *differing) finish(b *batch) { gather(b.seg, b.differs) }

func (d *differing) joins() bool { return true }

// holds tells whether a block has the sum.
func (d *differing) holds(sum BlockSum, block []byte, zero bool) bool {
	if zero || sum.Zero {
		return zero == sum.Zero
	}
	return sigfile.Sum(d.sums.Seed(), block) == sum.Hash
}

// zeroHash is the hash of a block of n zeros.
func (d *differing) zeroHash(n int) uint64 {
	var h xxhash.Digest
	h.ResetWithSeed(d.sums.Seed())
	for n > 0 {
		part := min(n, len(zeroSample))
		h.Write(zeroSample[:part])
		n -= part
	}
	return h.Sum64()
}
