package format

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// What can follow the end of a patch or signature (docs/format.md, "What follows the
// trailer"): nothing, or zeros to the end of a sector, which tapes and archives fill their
// blocks with; and on a block device whatever it held before, for that doesn't end with the patch.
var (
	errFollows = errors.New("bytes follow the trailer")
	errAnother = errors.New("another one begins right behind the trailer")
)

// onDevice is an input that goes on behind the end of what is read from it.
type onDevice struct{ io.Reader }

// OnDevice marks, for [NewReader] and [NewSignatureReader], an input that goes on behind
// the end of the patch or signature, as a block device does: they stop at the trailer.
func OnDevice(r io.Reader) io.Reader { return onDevice{r} }

func isOnDevice(r io.Reader) bool {
	_, ok := r.(onDevice)
	return ok
}

// checkRest checks what follows the trailer, which ends at byte end.
func checkRest(in *bufio.Reader, end int64, onDevice bool) error {
	if onDevice {
		// What can't be read there is none of ours.
		if b, _ := in.Peek(16); len(b) == 16 && le.Uint32(b) == skippableMagic &&
			(string(b[frameHeaderSize:]) == headerMagic || string(b[frameHeaderSize:]) == signatureMagic) {
			return errAnother
		}
		return nil
	}
	for at := end; ; {
		_, err := in.Peek(1)
		switch {
		case err == io.EOF && (at == end || at%SectorSize == 0):
			return nil
		case err == io.EOF:
			return errFollows
		case err != nil:
			return err
		}
		b, _ := in.Peek(in.Buffered())
		if n := len(bytes.TrimLeft(b, "\x00")); n > 0 {
			return errFollows
		}
		n, _ := in.Discard(len(b)) // it's buffered
		at += int64(n)
	}
}

// End tells where a trailer ends that is the last of the size bytes in r: right or damaged;
// only a right one can have zeros behind it, to the end of a sector, for zeros can be what a crash has left of
// the rest. It's false if there is none.
func End(r io.ReaderAt, size int64) (end int64, ok bool) {
	if endsInTrailer(r, size) {
		return size, true
	}
	if size%SectorSize != 0 {
		return 0, false
	}
	last := lastByte(r, size)
	from := max(0, last-trailerSize)
	b := make([]byte, min(2*trailerSize, size-from)) // its own last bytes may be zeros
	if n, _ := r.ReadAt(b, from); n < len(b) {
		return 0, false
	}
	i := bytes.LastIndex(b, []byte(trailerMagic)) - frameHeaderSize
	if i < 0 || len(b)-i < trailerSize {
		return 0, false
	}
	if _, err := parseTrailer(b[i : i+trailerSize]); err != nil {
		return 0, false
	}
	return from + int64(i) + trailerSize, true
}

// lastByte is the end of the last byte in r that isn't zero.
func lastByte(r io.ReaderAt, size int64) int64 {
	b := make([]byte, min(size, 256<<10))
	for size > 0 {
		part := b[:min(int64(len(b)), size)]
		if n, _ := r.ReadAt(part, size-int64(len(part))); n < len(part) {
			break
		}
		if n := len(bytes.TrimRight(part, "\x00")); n > 0 {
			return size - int64(len(part)-n)
		}
		size -= int64(len(part))
	}
	return size
}

// endsInTrailer tells whether the last of the size bytes in r are what begins like a
// trailer.
func endsInTrailer(r io.ReaderAt, size int64) bool {
	b := make([]byte, trailerSize)
	if size < trailerSize {
		return false
	}
	n, _ := r.ReadAt(b, size-trailerSize)
	return n == trailerSize && isTrailer(b)
}
