package format

import (
	"fmt"
	"strings"

	"lvmsync/format/internal/frame"
)

// A dump shows bytes in hexadecimal and says what they mean.
type dump struct {
	b   []byte
	at  int
	out strings.Builder
}

// field shows the next n bytes, at most 16, with a note.
func (d *dump) field(n int, note string, args ...any) {
	fmt.Fprintf(&d.out, "%04x  %-48s %s\n",
		d.at, fmt.Sprintf("% x", d.b[d.at:d.at+n]), fmt.Sprintf(note, args...))
	d.at += n
}

// text shows the next n bytes with the text that they are.
func (d *dump) text(n int) {
	for ; n > 16; n -= 16 {
		d.field(16, "%s", d.b[d.at:d.at+16])
	}
	d.field(n, "%s", d.b[d.at:d.at+n])
}

func (d *dump) u32() uint32 { return le.Uint32(d.b[d.at:]) }
func (d *dump) u64() uint64 { return le.Uint64(d.b[d.at:]) }

func (d *dump) frame(part, magic string) {
	d.field(4, "%s: skippable frame", part)
	d.field(4, "payload of %d bytes", d.u32())
	d.field(8, "%q", magic)
}

// annotate explains a stored patch of one segment.
func annotate(patch []byte) string {
	d := &dump{b: patch}
	d.frame("header", frame.PatchMagic)
	d.field(4, "format version %d", d.u32())
	n := int(d.u32())
	d.field(4, "JSON text of %d bytes", n)
	d.text(n)
	d.field(8, "xxh64 of the bytes from 0000 to here")
	d.segment()
	index := d.at
	d.frame("index", indexMagic)
	d.field(8, "%d entry", d.u64())
	d.field(8, "place of the segment: %04x", d.u64())
	d.field(8, "volume from %d", d.u64())
	d.field(8, "to %d", d.u64())
	d.field(8, "xxh64 of the bytes from %04x to here", index)
	end := d.at
	d.frame("trailer", frame.PatchEndMagic)
	for _, what := range []string{"%d segment", "%d extents", "%d bytes in data extents",
		"%d bytes in zero extents", "place of the index: %04x"} {
		d.field(8, what, d.u64())
	}
	d.field(8, "xxh64 of the bytes from 0000 to %04x", end)
	d.field(8, "xxh64 of the bytes from %04x to here", end)
	return d.out.String()
}

func (d *dump) segment() {
	d.field(4, "segment: zstd frame")
	d.field(1, "content size in 4 bytes, single segment, checksum")
	d.field(4, "content of %d bytes", d.u32())
	d.field(3, "last block, raw, of %d bytes", (d.u32()&0xffffff)>>3)
	n := d.u32()
	d.field(4, "%d extents", n)
	d.field(4, "reserved")
	length := 0
	for i := range n {
		d.field(8, "extent %d: offset %d", i+1, d.u64())
		size := d.u64()
		d.field(8, "length %d", size)
		flags := d.u32()
		d.field(4, "flags %d: %s", flags, ExtentKind(flags&flagZero))
		d.field(4, "reserved")
		if flags&flagZero == 0 {
			length += int(size)
			d.field(8, "xxh64 of the data")
		} else {
			d.field(8, "no data, no hash")
		}
		d.field(8, "no base hash")
	}
	d.text(length)
	d.field(4, "lower half of the xxh64 of the content")
}
