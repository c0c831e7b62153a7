package frame

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// Limits of a frame of a patch or signature, in bytes (docs/format.md, "Limits").
const (
	MaxContent = 8 + 8192*40 + 4<<20 // before compression: the largest segment
	MaxSize    = MaxContent + 64<<10 // what can't be compressed grows
	MaxWindow  = 8 << 20             // of zstd, that a frame may ask for
	// MinSize is what no frame is smaller than: magic, descriptor, content size, a block
	// of a byte with its header, checksum.
	MinSize = 4 + 1 + 1 + blockHeaderSize + 1 + frameSumSize
)

// Layout of a zstd frame (RFC 8878, sections 3.1.1.1 and 3.1.1.2).
const (
	frameHeaderMax   = 4 + 14 // magic and the largest frame header
	blockHeaderSize  = 3
	blockTypeRaw     = 0
	blockTypeRLE     = 1
	blockTypeInvalid = 3
	maxBlockSize     = 128 << 10
	frameSumSize     = 4
)

// A Frame is one zstd frame as it stands in a patch.
type Frame struct {
	Bytes   []byte // all of it
	Content int    // size in bytes of what it decompresses to, as declared
}

// Read reads one zstd frame into buf, growing it as needed. It
// looks only at the headers of the frame and its blocks, to find its end, and
// keeps to the limits. The frame's bytes so far come back with an error too.
func Read(in *bufio.Reader, buf []byte) (Frame, error) {
	f := Frame{Bytes: buf[:0]}
	peek, err := in.Peek(frameHeaderMax)
	if err != nil && err != io.EOF {
		return f, err
	}
	var h zstd.Header
	if err := h.Decode(peek); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) { // it ends within the header
			f.Bytes = append(f.Bytes, peek...)
			return f, io.ErrUnexpectedEOF
		}
		return f, fmt.Errorf("zstd frame header: %w", err)
	}
	if err := checkFrameHeader(&h); err != nil {
		return f, err
	}
	f.Content = int(h.FrameContentSize)
	if err := f.read(in, h.HeaderSize); err != nil {
		return f, err
	}
	for last := false; !last; {
		if last, err = f.readBlock(in); err != nil {
			return f, err
		}
	}
	return f, f.read(in, frameSumSize)
}

func checkFrameHeader(h *zstd.Header) error {
	switch {
	case h.Skippable:
		return errors.New("skippable frame in place of a segment")
	case h.DictionaryID != 0:
		return fmt.Errorf("zstd frame needs dictionary %d", h.DictionaryID)
	case !h.HasCheckSum:
		return errors.New("zstd frame has no checksum")
	case !h.HasFCS:
		return errors.New("zstd frame does not state its content size")
	case h.FrameContentSize > MaxContent:
		return fmt.Errorf("segment of %d bytes, limit %d", h.FrameContentSize, MaxContent)
	case !h.SingleSegment && h.WindowSize > MaxWindow:
		return fmt.Errorf("zstd window of %d bytes, limit %d", h.WindowSize, MaxWindow)
	}
	return nil
}

// readBlock reads one block with its header and tells whether it's the last.
func (f *Frame) readBlock(in io.Reader) (last bool, err error) {
	at := len(f.Bytes)
	if err := f.read(in, blockHeaderSize); err != nil {
		return false, err
	}
	b := f.Bytes[at:]
	header := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	size := header >> 3
	switch header >> 1 & 3 {
	case blockTypeInvalid:
		return false, errors.New("zstd block of the reserved type")
	case blockTypeRLE:
		size = 1
	default:
		if size > maxBlockSize {
			return false, fmt.Errorf("zstd block of %d bytes, limit %d", size, maxBlockSize)
		}
	}
	return header&1 != 0, f.read(in, size)
}

// usualFrame is the size in bytes that few frames exceed.
const usualFrame = 1 << 20

// read appends n bytes of the input to the frame.
func (f *Frame) read(in io.Reader, n int) error {
	at := len(f.Bytes)
	if at+n > MaxSize {
		return fmt.Errorf("zstd frame of more than %d bytes", MaxSize)
	}
	if cap(f.Bytes) < at+n {
		size := min(2*cap(f.Bytes), MaxSize)
		if at > maxBlockSize/2 { // it's not only a header that claims much
			size = max(size, usualFrame)
		}
		grown := make([]byte, at, max(at+n, size))
		copy(grown, f.Bytes)
		f.Bytes = grown
	}
	got, err := io.ReadFull(in, f.Bytes[at:at+n])
	f.Bytes = f.Bytes[:at+got]
	return err
}

// StoredSize is the size in bytes of what AppendStored makes of n bytes, or a little
// more.
func StoredSize(n int) int {
	// Magic, descriptor, size, checksum; then a header for each block.
	const overhead = 4 + 1 + 4 + frameSumSize
	return overhead + n + (n/maxBlockSize+1)*blockHeaderSize
}

// AppendStored appends content to b as a zstd frame that isn't compressed,
// which the library can't make: a frame header with the content size in 4 bytes,
// raw blocks, the content's checksum.
func AppendStored(b, content []byte) []byte {
	const descriptor = 2<<6 | 1<<5 | 1<<2 // 4-byte size, single segment, checksum
	b = le.AppendUint32(b, Zstd)
	b = append(b, descriptor)
	b = le.AppendUint32(b, uint32(len(content)))
	for rest := content; ; {
		n := min(len(rest), maxBlockSize)
		header := n<<3 | blockTypeRaw<<1
		if n == len(rest) {
			header |= 1
		}
		b = append(b, byte(header), byte(header>>8), byte(header>>16))
		b = append(b, rest[:n]...)
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
	}
	return le.AppendUint32(b, uint32(xxhash.Sum64(content)))
}

// NewDecoder returns a decoder of whole frames, so many at a time; 0: one a core. It needs no
// end, and limits the memory to the window: what a frame may decompress to is
// checked beforehand, and the library limits the window to the memory.
func NewDecoder(workers int) (*zstd.Decoder, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers),
		zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderMaxMemory(MaxWindow))
	if err != nil {
		return nil, fmt.Errorf("start zstd: %w", err)
	}
	return dec, nil
}
