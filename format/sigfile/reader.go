package sigfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"lvmsync/format"
	"lvmsync/format/internal/frame"
)

// ErrNotSignature means that the input does not begin like a signature.
var ErrNotSignature = errors.New("not an lvmsync signature")

// A Reader reads a signature from a stream. It is not safe for concurrent use, and needs no
// end.
type Reader struct {
	header   Header
	in       *bufio.Reader
	onDevice bool // anything may follow the trailer
	dec      *zstd.Decoder
	sum      *xxhash.Digest
	offset   int64
	totals   totals
	frame    []byte
	plain    []byte
	table    Table
	err      error // sticky
}

// NewReader reads and checks the header. The errors are those of [ErrNotSignature],
// [format.ErrVersion], [format.ErrFeature], [format.ErrCorrupt], [format.ErrTruncated], or the
// input's own. The caller still owns r.
func NewReader(r io.Reader) (*Reader, error) {
	dec, err := frame.NewDecoder(1)
	if err != nil {
		return nil, err
	}
	sr := &Reader{in: bufio.NewReaderSize(frame.Input(r), 256<<10), onDevice: frame.IsOnDevice(r),
		dec: dec, sum: xxhash.New(), plain: make([]byte, maxTableContent)}
	if err := sr.readHeader(); err != nil {
		return nil, err
	}
	return sr, nil
}

// Header is the signature's header. It is the signature's word: names in it may be
// anything.
func (r *Reader) Header() Header { return r.header }

func (r *Reader) readHeader() error {
	b := make([]byte, frame.HeaderSize+frame.HeadFixed)
	n, err := io.ReadFull(r.in, b)
	if frame.IsInputError(err) {
		return r.partError("header", n, err)
	}
	if err := checkMagic(b[:n]); err != nil {
		return err
	}
	if n < len(b) {
		return r.partError("header", n, err)
	}
	size, text := le.Uint32(b[4:]), le.Uint32(b[20:])
	if text > frame.MaxJSON || size != frame.HeadFixed+text+frame.SumSize {
		return r.partError("header",
			0, fmt.Errorf("frame of %d bytes with %d bytes of JSON", size, text))
	}
	b = append(b, make([]byte, text+frame.SumSize)...)
	if n, err := io.ReadFull(r.in, b[frame.HeaderSize+frame.HeadFixed:]); err != nil {
		return r.partError("header", frame.HeaderSize+frame.HeadFixed+n, err)
	}
	h, err := parseHeader(b)
	if errors.Is(err, format.ErrFeature) {
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

// checkMagic looks at the first bytes of the input.
func checkMagic(b []byte) error {
	want := string(le.AppendUint32(nil, frame.Skippable))
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w: the input is empty", ErrNotSignature)
	case len(b) >= 16 && string(b[:4]) == want && string(b[8:16]) == frame.PatchMagic:
		return fmt.Errorf("%w: it is a patch", ErrNotSignature)
	case !strings.HasPrefix(want, string(b[:min(len(b), 4)])),
		len(b) > 8 && !strings.HasPrefix(frame.SignatureMagic, string(b[8:min(len(b), 16)])):
		return fmt.Errorf("%w: it begins with %q", ErrNotSignature, b[:min(len(b), 16)])
	case len(b) >= 20 && le.Uint32(b[16:]) == 0:
		return &format.CorruptError{What: "signature", Part: "header", Err: frame.ErrVersion0}
	case len(b) >= 20 && le.Uint32(b[16:]) != Version:
		return fmt.Errorf("signature: %w %d: this program reads version %d",
			format.ErrVersion, le.Uint32(b[16:]), Version)
	}
	return nil
}

// Next returns the next table, which is valid until the next call. io.EOF comes after a
// whole signature. An error ends the reading and is returned ever after.
func (r *Reader) Next() (*Table, error) {
	if r.err == nil {
		r.err = r.next()
	}
	if r.err != nil {
		return nil, r.err
	}
	return &r.table, nil
}

func (r *Reader) next() error {
	magic, err := r.in.Peek(4)
	if len(magic) < 4 {
		return r.partError("table or trailer", len(magic), err)
	}
	if le.Uint32(magic) == frame.Skippable {
		return r.readTrailer()
	}
	f, err := frame.Read(r.in, r.frame)
	r.frame = f.Bytes
	if err != nil {
		return r.partError("table", len(f.Bytes), err)
	}
	if f.Content > maxTableContent {
		return r.partError("table", 0, fmt.Errorf("%d bytes, limit %d", f.Content, maxTableContent))
	}
	content, err := r.dec.DecodeAll(f.Bytes, r.plain[:0:f.Content])
	if err == nil {
		err = r.table.parse(content)
	}
	if err == nil {
		err = r.totals.add(&r.table, r.header.Blocks())
	}
	if err != nil {
		return r.partError("table", 0, notEOF(err))
	}
	r.sum.Write(f.Bytes)
	r.offset += int64(len(f.Bytes))
	return nil
}

// readTrailer reads the trailer and checks what follows. Then it returns io.EOF.
func (r *Reader) readTrailer() error {
	b := make([]byte, frame.SignatureEndSize)
	if n, err := io.ReadFull(r.in, b); err != nil {
		return r.partError("trailer", n, err)
	}
	sum, err := r.totals.checkTrailer(b)
	switch {
	case err != nil:
		return r.partError("trailer", 0, err)
	case sum != r.sum.Sum64():
		return r.partError("trailer",
			0, fmt.Errorf("checksum of the signature: %w", frame.ErrChecksum))
	case r.totals.blocks != r.header.Blocks():
		return r.partError("trailer",
			0, fmt.Errorf("%d blocks are missing", r.header.Blocks()-r.totals.blocks))
	}
	r.offset += frame.SignatureEndSize
	if err := frame.CheckRest(r.in, r.offset, r.onDevice); err != nil {
		return r.partError("end", 0, err)
	}
	return io.EOF
}

// partError is the error to report for the part that begins at offset, of which n
// bytes were read.
func (r *Reader) partError(part string, n int, err error) error {
	switch {
	case frame.IsInputError(err):
		return fmt.Errorf("read the signature at byte %d: %w", r.offset+int64(n), err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &format.TruncatedError{What: "signature", Part: part, Offset: r.offset + int64(n)}
	}
	return &format.CorruptError{What: "signature", Part: part, Offset: r.offset, Err: err}
}

// notEOF hides an end of input that is zstd's, not ours.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("zstd: %v", err)
	}
	return err
}

// Verify reads a signature to its end and checks everything in it.
func Verify(r io.Reader) (Header, error) {
	sr, err := NewReader(r)
	if err != nil {
		return Header{}, err
	}
	for {
		if _, err := sr.Next(); err == io.EOF {
			return sr.header, nil
		} else if err != nil {
			return Header{}, err
		}
	}
}
