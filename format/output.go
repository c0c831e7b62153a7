package format

import (
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// output is the stream that a Writer writes to, with all that is known of it.
type output struct {
	w      io.Writer
	offset int64          // bytes written
	sum    *xxhash.Digest // of the bytes written
	index  packedIndex    // of the segments written
}

// writeSegment writes the frame of a segment.
func (o *output) writeSegment(b *body) error {
	o.index.add(IndexEntry{Offset: o.offset, Start: b.records[0].Off,
		End: b.records[len(b.records)-1].End()})
	return o.write(b.frame)
}

func (o *output) write(b []byte) error {
	n, err := o.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("write the patch at byte %d: %w", o.offset, err)
	}
	o.sum.Write(b)
	o.offset += int64(n)
	return nil
}

// finish writes index and trailer, and calls before, if that is set, between them.
func (o *output) finish(totals Totals, before func() error) error {
	t := trailer{Totals: totals, index: o.offset}
	if err := o.writeIndex(); err != nil {
		return err
	}
	t.patchSum = o.sum.Sum64()
	b := t.marshal()
	// What can't be read back must not go out as a whole patch: this guards
	// against bad memory and our own mistakes.
	if back, err := parseTrailer(b); err != nil || back != t {
		return errors.New("write the patch: trailer does not read back")
	}
	if before != nil {
		if err := before(); err != nil {
			return err
		}
	}
	return o.write(b)
}

// writeIndex writes the index in pieces, for that of a large volume is long.
func (o *output) writeIndex() error {
	const piece = 64 << 10
	b, err := appendIndexStart(make([]byte, 0, piece), o.index.count)
	if err != nil {
		return err
	}
	if n, err := indexCount(b); err != nil || n != int64(o.index.count) {
		return errors.New("write the patch: index does not read back")
	}
	sum := xxhash.New()
	flush := func() error {
		sum.Write(b)
		err := o.write(b)
		b = b[:0]
		return err
	}
	for e := range o.index.all() {
		if len(b)+indexEntrySize > piece {
			if err := flush(); err != nil {
				return err
			}
		}
		b = appendIndexEntry(b, e)
	}
	if err := flush(); err != nil {
		return err
	}
	return o.write(le.AppendUint64(nil, sum.Sum64()))
}
