package frame

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

// OnDevice marks such an input.
func OnDevice(r io.Reader) io.Reader { return onDevice{r} }

// IsOnDevice tells whether an input is marked so.
func IsOnDevice(r io.Reader) bool {
	_, ok := r.(onDevice)
	return ok
}

// CheckRest checks what follows the trailer, which ends at byte end.
func CheckRest(in *bufio.Reader, end int64, onDevice bool) error {
	if onDevice {
		// What can't be read there is none of ours.
		if b, _ := in.Peek(16); len(b) == 16 && (Is(b, PatchMagic) || Is(b, SignatureMagic)) {
			return errAnother
		}
		return nil
	}
	for at := end; ; {
		_, err := in.Peek(1)
		switch {
		case err == io.EOF && (at == end || at%512 == 0):
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

// Ends tells whether the last of the size bytes in r are what begins like an end: a frame of
// frameSize bytes with that magic.
func Ends(r io.ReaderAt, size int64, magic string, frameSize int64) bool {
	b := make([]byte, HeaderSize+len(magic))
	if size < frameSize {
		return false
	}
	n, _ := r.ReadAt(b, size-frameSize)
	return n == len(b) && Is(b, magic)
}
