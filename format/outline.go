package format

import (
	"io"
	"sync"

	"lvmsync/format/internal/frame"
)

// An Outline is what header and trailer say of a patch.
type Outline struct {
	Header Header
	Totals Totals // zero if there is no trailer, as Sum
	Sum    uint64 // over all that comes before the trailer, as that has it
	Size   int64  // of the patch in bytes, without zeros behind it
}

// ReadSum reads the checksum over all that comes before the trailer of the patch in r, which is
// size bytes long, zeros behind it included, even if its header is damaged: two files with the same sum
// were of one patch when they were written. It's false if there is no right trailer; nothing else
// is checked.
func ReadSum(r io.ReaderAt, size int64) (sum uint64, ok bool) {
	r = frame.InputAt(r)
	end, ok := End(r, size)
	if !ok {
		return 0, false
	}
	b := make([]byte, frame.PatchEndSize)
	if n, _ := r.ReadAt(b, end-frame.PatchEndSize); n < len(b) {
		return 0, false
	}
	t, err := parseTrailer(b)
	return t.patchSum, err == nil
}

// heads are *[]byte that ReadOutline reads header frames into, which are no longer than this: there
// may be ten thousand.
var heads sync.Pool

const maxHeadKept = 64 << 10

// ReadOutline reads header and trailer of the patch in r, which is size bytes long, zeros behind
// it included, and checks them; of the rest it checks nothing. With an error about the trailer,
// which may be missing, the header is right and comes with it; else there is none.
func ReadOutline(r io.ReaderAt, size int64) (*Outline, error) {
	f := &File{r: frame.InputAt(r)}
	buf, ok := heads.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer heads.Put(buf)
	h, head, err := readHeader(io.NewSectionReader(f.r, 0, size), *buf)
	if len(head) <= maxHeadKept {
		*buf = head
	}
	if err != nil {
		return nil, err
	}
	f.header = *h
	o := &Outline{Header: *h, Size: size}
	if end, ok := End(f.r, size); ok {
		o.Size = end
	}
	at := o.Size - frame.PatchEndSize
	if at < int64(len(head)) {
		return o, &TruncatedError{Part: "trailer", Offset: o.Size}
	}
	if err := f.readTrailer(at); err != nil {
		return o, err
	}
	if i := f.trailer.index; i < int64(len(head)) || i > at ||
		at-i != indexFrameSize(f.trailer.Segments) {
		return o, corrupt("trailer", at, "it places the index at byte %d", i)
	}
	o.Totals, o.Sum = f.trailer.Totals, f.trailer.patchSum
	return o, nil
}
