package dump

import (
	"sync/atomic"

	"lvmsync/format"
)

const (
	// batchData is how much data goes into a segment, in bytes: a compromise
	// between memory, of which a few segments are held, and the number of
	// segments, which the index lists.
	batchData = 1 << 20
	// batchExtents bounds the extents of a batch, so that its segment keeps to
	// format.MaxSegmentExtents however refine.Runs splits them: an extent of n
	// bytes touches n/refine.BlockSize + 2 blocks at most, so there are no more
	// than 2*batchExtents + batchData/refine.BlockSize afterwards.
	batchExtents = 2048
	// readSize is how much is read at a time, in bytes, in one or more extents.
	readSize = 256 << 10
)

// A batch is a segment in the making. Its records are as planned until it is
// ready. Batches are used again, with the memory of their lists.
type batch struct {
	seg     *format.Segment
	reads   []read        // that fill it
	bytes   int64         // length of the extents as planned
	pending atomic.Int32  // reads under way
	ready   chan struct{} // told when all are done
	// What is compared leaves more here.
	sums    []BlockSum    // of the base, for the data extents as far as they are known
	differs []differences // one for each read
}

// newBatch makes an empty batch, or empties one that has been sent.
func (p *pipeline) newBatch() *batch {
	b := p.used.Get().(*batch)
	b.seg, b.sums, b.bytes = p.w.NewSegment(), b.sums[:0], 0
	return b
}

// A read is a run of neighbouring records of a batch, and where their data go.
type read struct {
	*batch
	number  int // in the batch
	records []format.Record
	data    []byte
}

// take puts as much of e into the batch as fits and returns the rest.
func (b *batch) take(e format.Extent) (rest format.Extent) {
	part := e
	if e.Kind == format.Data {
		part.Len = min(e.Len, int64(batchData-len(b.seg.Data)))
		b.seg.Data = b.seg.Data[:len(b.seg.Data)+int(part.Len)]
	}
	b.seg.Records = append(b.seg.Records, format.Record{Extent: part})
	b.bytes += part.Len
	e.Off += part.Len
	e.Len -= part.Len
	return e
}

func (b *batch) full() bool {
	return len(b.seg.Data) == batchData || len(b.seg.Records) == batchExtents
}

// cutReads cuts the data extents of the batch into reads of readSize bytes, or one
// extent if that is larger.
func (b *batch) cutReads() {
	b.reads = b.reads[:0]
	var cur read
	data := b.seg.Data
	flush := func() {
		if len(cur.records) > 0 {
			cur.number = len(b.reads)
			b.reads = append(b.reads, cur)
		}
		cur = read{}
	}
	for i, r := range b.seg.Records {
		if r.Kind != format.Data {
			flush()
			continue
		}
		if cur.batch == nil {
			cur = read{batch: b, records: b.seg.Records[i:i], data: data[:0]}
		}
		cur.records = cur.records[:len(cur.records)+1]
		cur.data = cur.data[:len(cur.data)+int(r.Len)]
		data = data[r.Len:]
		if len(cur.data) >= readSize {
			flush()
		}
	}
	flush()
}
