package format

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// A SignatureWriter writes a signature to a stream. It is not safe for concurrent use.
type SignatureWriter struct {
	header SignatureHeader
	w      io.Writer
	enc    *zstd.Encoder
	sum    *xxhash.Digest
	offset int64
	totals signatureTotals
	plain  []byte
	frame  []byte
	err    error // of writing; it sticks: what follows would not be where it should
}

// NewSignatureWriter writes the header. The caller still owns w.
func NewSignatureWriter(w io.Writer, h SignatureHeader) (*SignatureWriter, error) {
	b, err := h.marshal()
	if err != nil {
		return nil, err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("start zstd: %w", err)
	}
	sw := &SignatureWriter{header: h, w: w, enc: enc, sum: xxhash.New()}
	return sw, sw.write(b)
}

// Write writes a table. It must begin where the one before has ended.
func (w *SignatureWriter) Write(t *SignatureTable) error {
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
func (w *SignatureWriter) Close() error {
	if w.err != nil {
		return w.err
	}
	if missing := w.header.Blocks() - w.totals.blocks; missing != 0 {
		return fmt.Errorf("write a signature: %d blocks are missing", missing)
	}
	return w.write(w.totals.marshal(w.sum.Sum64()))
}

// Bytes is the size of the signature so far.
func (w *SignatureWriter) Bytes() int64 { return w.offset }

func (w *SignatureWriter) write(b []byte) error {
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
func (s *signatureTotals) add(t *SignatureTable, blocks int64) error {
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

// A SignatureReader reads a signature from a stream. It is not safe for concurrent
// use.
type SignatureReader struct {
	header   SignatureHeader
	in       *bufio.Reader
	onDevice bool // see OnDevice
	dec      *zstd.Decoder
	sum      *xxhash.Digest
	offset   int64
	totals   signatureTotals
	frame    []byte
	plain    []byte
	table    SignatureTable
	err      error // sticky
}

// NewSignatureReader reads and checks the header. The errors are those of
// [ErrNotSignature], [ErrVersion], [ErrFeature], [ErrCorrupt], [ErrTruncated], or the
// input's own.
func NewSignatureReader(r io.Reader) (*SignatureReader, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxWindow(maxSegmentWindow), zstd.WithDecoderMaxMemory(maxSegmentWindow))
	if err != nil {
		return nil, fmt.Errorf("start zstd: %w", err)
	}
	sr := &SignatureReader{in: bufio.NewReaderSize(input{r}, 256<<10), onDevice: isOnDevice(r), dec: dec, sum: xxhash.New(), plain: make([]byte, maxTableContent)}
	if err := sr.readHeader(); err != nil {
		return nil, err
	}
	return sr, nil
}

// Header is the signature's header. It is the signature's word: names in it may be
// anything.
func (r *SignatureReader) Header() SignatureHeader { return r.header }

func (r *SignatureReader) readHeader() error {
	b := make([]byte, frameHeaderSize+headerFixedSize)
	n, err := io.ReadFull(r.in, b)
	if isInputError(err) {
		return r.partError("header", n, err)
	}
	if err := checkSignatureMagic(b[:n]); err != nil {
		return err
	}
	if n < len(b) {
		return r.partError("header", n, err)
	}
	size, text := le.Uint32(b[4:]), le.Uint32(b[20:])
	if text > maxHeaderJSON || size != headerFixedSize+text+checksumSize {
		return r.partError("header", 0, fmt.Errorf("frame of %d bytes with %d bytes of JSON", size, text))
	}
	b = append(b, make([]byte, text+checksumSize)...)
	if n, err := io.ReadFull(r.in, b[frameHeaderSize+headerFixedSize:]); err != nil {
		return r.partError("header", frameHeaderSize+headerFixedSize+n, err)
	}
	h, err := parseSignatureHeader(b)
	if errors.Is(err, ErrFeature) {
		return err
	}
	if err != nil {
		return r.partError("header", 0, err)
	}
	r.header = *h
	r.sum.Write(b)
	r.offset = int64(len(b))
	return nil
}

// checkSignatureMagic looks at the first bytes of the input.
func checkSignatureMagic(b []byte) error {
	want := string(le.AppendUint32(nil, skippableMagic))
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w: the input is empty", ErrNotSignature)
	case len(b) >= 16 && string(b[:4]) == want && string(b[8:16]) == headerMagic:
		return fmt.Errorf("%w: it is a patch", ErrNotSignature)
	case !strings.HasPrefix(want, string(b[:min(len(b), 4)])),
		len(b) > 8 && !strings.HasPrefix(signatureMagic, string(b[8:min(len(b), 16)])):
		return fmt.Errorf("%w: it begins with %q", ErrNotSignature, b[:min(len(b), 16)])
	case len(b) >= 20 && le.Uint32(b[16:]) == 0:
		return &CorruptError{What: "signature", Part: "header", Err: errVersion0}
	case len(b) >= 20 && le.Uint32(b[16:]) != SignatureVersion:
		return fmt.Errorf("signature: %w %d: this program reads version %d", ErrVersion, le.Uint32(b[16:]), SignatureVersion)
	}
	return nil
}

// Next returns the next table, which is valid until the next call. io.EOF comes
// after a whole signature. An error ends the reading and is returned ever after.
func (r *SignatureReader) Next() (*SignatureTable, error) {
	if r.err == nil {
		r.err = r.next()
	}
	if r.err != nil {
		return nil, r.err
	}
	return &r.table, nil
}

func (r *SignatureReader) next() error {
	magic, err := r.in.Peek(4)
	if len(magic) < 4 {
		return r.partError("table or trailer", len(magic), err)
	}
	if le.Uint32(magic) == skippableMagic {
		return r.readTrailer()
	}
	f, err := readFrame(r.in, r.frame)
	r.frame = f.bytes
	if err != nil {
		return r.partError("table", len(f.bytes), err)
	}
	if f.content > maxTableContent {
		return r.partError("table", 0, fmt.Errorf("%d bytes, limit %d", f.content, maxTableContent))
	}
	content, err := r.dec.DecodeAll(f.bytes, r.plain[:0:f.content])
	if err == nil {
		err = r.table.parse(content)
	}
	if err == nil {
		err = r.totals.add(&r.table, r.header.Blocks())
	}
	if err != nil {
		return r.partError("table", 0, notEOF(err))
	}
	r.sum.Write(f.bytes)
	r.offset += int64(len(f.bytes))
	return nil
}

// readTrailer reads the trailer and checks what follows. Then it returns io.EOF.
func (r *SignatureReader) readTrailer() error {
	b := make([]byte, signatureEndSize)
	if n, err := io.ReadFull(r.in, b); err != nil {
		return r.partError("trailer", n, err)
	}
	sum, err := r.totals.checkTrailer(b)
	switch {
	case err != nil:
		return r.partError("trailer", 0, err)
	case sum != r.sum.Sum64():
		return r.partError("trailer", 0, fmt.Errorf("checksum of the signature: %w", errChecksum))
	case r.totals.blocks != r.header.Blocks():
		return r.partError("trailer", 0, fmt.Errorf("%d blocks are missing", r.header.Blocks()-r.totals.blocks))
	}
	r.offset += signatureEndSize
	if err := checkRest(r.in, r.offset, r.onDevice); err != nil {
		return r.partError("end", 0, err)
	}
	return io.EOF
}

// partError is the error to report for the part that begins at offset, of which n
// bytes were read.
func (r *SignatureReader) partError(part string, n int, err error) error {
	switch {
	case isInputError(err):
		return fmt.Errorf("read the signature at byte %d: %w", r.offset+int64(n), err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &TruncatedError{What: "signature", Part: part, Offset: r.offset + int64(n)}
	}
	return &CorruptError{What: "signature", Part: part, Offset: r.offset, Err: err}
}

// notEOF hides an end of input that is zstd's, not ours.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("zstd: %v", err)
	}
	return err
}

// VerifySignature reads a signature to its end and checks everything in it.
func VerifySignature(r io.Reader) (SignatureHeader, error) {
	sr, err := NewSignatureReader(r)
	if err != nil {
		return SignatureHeader{}, err
	}
	for {
		if _, err := sr.Next(); err == io.EOF {
			return sr.header, nil
		} else if err != nil {
			return SignatureHeader{}, err
		}
	}
}
