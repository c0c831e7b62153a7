package sigfile

import (
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// A Writer writes a signature to a stream: the header at once, then tables in ascending
// order, then [Writer.Close] for the trailer. It is not safe for concurrent use. An error in
// writing sticks: every later call returns it, and no trailer is ever written.
type Writer struct {
	header Header
	w      io.Writer
	enc    *zstd.Encoder
	sum    *xxhash.Digest
	offset int64
	totals totals
	plain  []byte
	frame  []byte
	err    error // of writing; it sticks: what follows would not be where it should
}

// NewWriter writes the header. The caller still owns w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	b, err := h.marshal()
	if err != nil {
		return nil, err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("start zstd: %w", err)
	}
	sw := &Writer{header: h, w: w, enc: enc, sum: xxhash.New()}
	return sw, sw.write(b)
}

// Write writes a table. It must begin where the one before has ended.
func (w *Writer) Write(t *Table) error {
	if w.err != nil {
		return w.err // the memory may still be read from, by an io.Writer that was interrupted
	}
	if err := w.totals.add(t, w.header.Blocks()); err != nil {
		return fmt.Errorf("write a signature: %w", err)
	}
	w.plain = t.append(w.plain[:0])
	w.frame = w.enc.EncodeAll(w.plain, w.frame[:0])
	return w.write(w.frame)
}

// Close writes the trailer. Without it, a signature is truncated. It doesn't close
// the io.Writer.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if missing := w.header.Blocks() - w.totals.blocks; missing != 0 {
		return fmt.Errorf("write a signature: %d blocks are missing", missing)
	}
	return w.write(w.totals.marshal(w.sum.Sum64()))
}

// Bytes is the size of the signature so far.
func (w *Writer) Bytes() int64 { return w.offset }

func (w *Writer) write(b []byte) error {
	if w.err != nil {
		return w.err
	}
	n, err := w.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = fmt.Errorf("write the signature at byte %d: %w", w.offset, err)
		return w.err
	}
	w.sum.Write(b)
	w.offset += int64(n)
	return nil
}

// add counts a table, and checks that it comes next.
func (s *totals) add(t *Table, blocks int64) error {
	n := int64(t.Len())
	switch {
	case n == 0 || n > MaxTableBlocks:
		return fmt.Errorf("table of %d blocks, limit %d", n, MaxTableBlocks)
	case t.First != s.blocks:
		return fmt.Errorf("table begins with block %d, not %d", uint64(t.First), s.blocks)
	case n > blocks-s.blocks:
		return fmt.Errorf("table reaches past the last block, %d", blocks)
	}
	s.tables++
	s.blocks += n
	s.zeros += int64(t.zeros())
	return nil
}
