package format

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
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

// A frame is one zstd frame as it stands in the patch.
type frame struct {
	bytes   []byte // all of it
	content int    // size of what it decompresses to, as declared
}

// readFrame reads one segment's zstd frame into buf, growing it as needed. It
// looks only at the headers of the frame and its blocks, to find its end, and
// keeps to the limits. The frame's bytes so far come back with an error too.
func readFrame(in *bufio.Reader, buf []byte) (frame, error) {
	f := frame{bytes: buf[:0]}
	peek, err := in.Peek(frameHeaderMax)
	if err != nil && err != io.EOF {
		return f, err
	}
	var h zstd.Header
	if err := h.Decode(peek); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) { // it ends within the header
			f.bytes = append(f.bytes, peek...)
			return f, io.ErrUnexpectedEOF
		}
		return f, fmt.Errorf("zstd frame header: %w", err)
	}
	if err := checkFrameHeader(&h); err != nil {
		return f, err
	}
	f.content = int(h.FrameContentSize)
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
	case h.FrameContentSize > maxSegmentContent:
		return fmt.Errorf("segment of %d bytes, limit %d", h.FrameContentSize, maxSegmentContent)
	case !h.SingleSegment && h.WindowSize > maxSegmentWindow:
		return fmt.Errorf("zstd window of %d bytes, limit %d", h.WindowSize, maxSegmentWindow)
	}
	return nil
}

// readBlock reads one block with its header and tells whether it's the last.
func (f *frame) readBlock(in io.Reader) (last bool, err error) {
	at := len(f.bytes)
	if err := f.read(in, blockHeaderSize); err != nil {
		return false, err
	}
	b := f.bytes[at:]
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
func (f *frame) read(in io.Reader, n int) error {
	at := len(f.bytes)
	if at+n > maxSegmentFrame {
		return fmt.Errorf("zstd frame of more than %d bytes", maxSegmentFrame)
	}
	if cap(f.bytes) < at+n {
		size := min(2*cap(f.bytes), maxSegmentFrame)
		if at > maxBlockSize/2 { // it's not only a header that claims much
			size = max(size, usualFrame)
		}
		grown := make([]byte, at, max(at+n, size))
		copy(grown, f.bytes)
		f.bytes = grown
	}
	got, err := io.ReadFull(in, f.bytes[at:at+n])
	f.bytes = f.bytes[:at+got]
	return err
}

// storedSize is the size in bytes of what appendStored makes of n bytes, or a little
// more.
func storedSize(n int) int {
	const overhead = 4 + 1 + 4 + frameSumSize // magic, descriptor, size, checksum; then a header for each block
	return overhead + n + (n/maxBlockSize+1)*blockHeaderSize
}

// appendStored appends content to b as a zstd frame that isn't compressed,
// which the library can't make: a frame header with the content size in 4 bytes,
// raw blocks, the content's checksum.
func appendStored(b, content []byte) []byte {
	const descriptor = 2<<6 | 1<<5 | 1<<2 // 4-byte size, single segment, checksum
	b = le.AppendUint32(b, zstdMagic)
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
