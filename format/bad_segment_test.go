package format

import (
	"math"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/vectortest"
)

// rawFrame makes a zstd frame of raw blocks, with any frame header: descriptor
// and fields. frame.AppendStored puts 9 bytes before the blocks.
func rawFrame(header ...byte) func([]byte) []byte {
	return func(content []byte) []byte {
		b := append(le.AppendUint32(nil, frame.Zstd), header...)
		return append(b, frame.AppendStored(nil, content)[9:]...)
	}
}

// frameEdit changes the stored frame of the first segment.
func frameEdit(edit func([]byte) []byte) func(*rawPatch) {
	return func(p *rawPatch) {
		p.segments[0].frame = func(content []byte) []byte {
			return edit(frame.AppendStored(nil,
				content))
		}
	}
}

// contentEdit changes what the first segment's frame holds.
func contentEdit(edit func([]byte) []byte) func(*rawPatch) {
	return func(p *rawPatch) { p.segments[0].editContent = edit }
}

// lost makes a deltaPatch that may have lost extents, and sets the flags of an extent
// of its first segment.
func lost(i int, flags uint32) func(*rawPatch) {
	return func(p *rawPatch) {
		p.header.RequiredFeatures = []string{LostSectors}
		contentEdit(vectortest.Put32(8+i*extentSize+16, flags))(p)
	}
}

// first and last put other extents into a segment of a deltaPatch.
func first(extents ...Extent) func(*rawPatch) {
	return func(p *rawPatch) { p.segments[0] = newRaw(extents...) }
}

func last(extents ...Extent) func(*rawPatch) {
	return func(p *rawPatch) { p.segments[1] = newRaw(extents...) }
}

// full puts other segments into a fullPatch.
func full(segments ...[]Extent) func(testing.TB) []byte {
	return func(t testing.TB) []byte {
		p := fullPatch()
		p.segments = nil
		for _, extents := range segments {
			p.segments = append(p.segments, newRaw(extents...))
		}
		return p.bytes(t)
	}
}

// large makes a patch of one large segment, whose data are zeros.
func large(extents ...Extent) func(testing.TB) []byte {
	return func(t testing.TB) []byte {
		p := deltaPatch()
		p.header.VolumeSize = 16 << 20
		s := &rawSegment{frame: compressed(t)}
		for _, e := range extents {
			r := Record{Extent: e}
			if e.Kind == Data {
				zeros := make([]byte, e.Len)
				r.Hash = xxhash.Sum64(zeros)
				s.data = append(s.data, zeros...)
			}
			s.records = append(s.records, r)
		}
		p.segments = []*rawSegment{s}
		return p.bytes(t)
	}
}

func compressed(t testing.TB) func([]byte) []byte {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	return func(content []byte) []byte { return enc.EncodeAll(content, nil) }
}

// everyOther gives n zero extents of one sector with gaps between them.
func everyOther(n int) []Extent {
	extents := make([]Extent, n)
	for i := range extents {
		extents[i] = Extent{int64(i) * 2 * SectorSize, SectorSize, Zero}
	}
	return extents
}

// The first content of a deltaPatch has 1152 bytes, 0x480. Frame descriptors:
// RFC 8878, section 3.1.1.1.1.
var frameVectors = []vector{
	{name: "segment-magic", expect: "corrupt segment", why: "a segment's frame has another magic",
		edit: frameEdit(vectortest.Put32(0, 0xFD2FB527))},
	{name: "skippable-between", expect: "corrupt segment",
		why: "a skippable frame of somebody else between two segments",
		edit: func(p *rawPatch) {
			p.segments[1].between = []byte(
				"\x50\x2a\x4d\x18\x04\x00\x00\x00none")
		}},
	{name: "zstd-no-checksum", expect: "corrupt segment", why: "frame without a checksum",
		edit: frameEdit(func(b []byte) []byte { b[4] &^= 1 << 2; return b[:len(b)-4] })},
	{name: "zstd-no-content-size", expect: "corrupt segment",
		why:  "frame that does not state its content size",
		edit: func(p *rawPatch) { p.segments[0].frame = rawFrame(1<<2, 7<<3) }},
	{name: "zstd-window", expect: "corrupt segment", why: "frame that needs a window of 9 MiB",
		edit: func(p *rawPatch) {
			p.segments[0].frame = rawFrame(2<<6|1<<2, 13<<3|1, 0x80, 4, 0,
				0)
		}},
	{name: "zstd-dictionary", expect: "corrupt segment", why: "frame that needs dictionary 7",
		edit: func(p *rawPatch) {
			p.segments[0].frame = rawFrame(2<<6|1<<5|1<<2|1, 7, 0x80, 4, 0,
				0)
		}},
	{name: "zstd-4gib", expect: "corrupt segment", why: "frame that claims to hold 4 GiB",
		edit: func(p *rawPatch) {
			p.segments[0].frame = rawFrame(3<<6|1<<5|1<<2, 0, 0, 0, 0, 1, 0,
				0, 0)
		}},
	{name: "zstd-content-less", expect: "corrupt segment",
		why:  "frame holds a byte less than it states",
		edit: frameEdit(vectortest.Put32(5, 0x481))},
	{name: "zstd-content-more", expect: "corrupt segment",
		why:  "frame holds a byte more than it states",
		edit: frameEdit(vectortest.Put32(5, 0x47f))},
	{name: "zstd-reserved-bit", expect: "corrupt segment",
		why:  "reserved bit of the frame header is set",
		edit: frameEdit(func(b []byte) []byte { b[4] |= 1 << 3; return b })},
	{name: "zstd-block-type", expect: "corrupt segment", why: "block of the reserved type 3",
		edit: frameEdit(func(b []byte) []byte { b[9] |= 3 << 1; return b })},
	{name: "zstd-checksum", expect: "corrupt segment", why: "checksum of the frame is wrong",
		edit: frameEdit(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},

	{name: "table-cut", expect: "corrupt segment", why: "content of 4 bytes",
		edit: contentEdit(func(b []byte) []byte { return b[:4] })},
	{name: "table-reserved", expect: "corrupt segment", why: "reserved field of the table is 1",
		edit: contentEdit(vectortest.Put32(4, 1))},
	{name: "table-empty", expect: "corrupt segment", file: "corrupt index",
		why: "segment without extents", edit: last()},
	{name: "table-too-many", expect: "corrupt segment", why: "segment of 8193 extents",
		make: large(everyOther(MaxSegmentExtents + 1)...)},
	{name: "table-past-content", expect: "corrupt segment",
		why: "table of 100 extents in 1152 bytes", edit: contentEdit(vectortest.Put32(0, 100))},
	{name: "extent-flags", expect: "corrupt segment", why: "extent with the unknown flag 4",
		edit: contentEdit(vectortest.Put32(8+16, 4))},
	{name: "extent-flags-next", expect: "corrupt segment", why: "extent with the unknown flag 8",
		edit: contentEdit(vectortest.Put32(8+16, 8))},
	{name: "extent-reserved", expect: "corrupt segment", why: "reserved field of an extent is 1",
		edit: contentEdit(vectortest.Put32(8+20, 1))},
	{name: "zero-extent-hash", expect: "corrupt segment", why: "zero extent with a hash",
		edit: contentEdit(vectortest.Put64(48+24, 1))},
	{name: "base-hash-without-flag", expect: "corrupt segment", why: "base hash without its flag",
		edit: contentEdit(vectortest.Put64(8+32, 1))},
	{name: "lost-data", expect: "corrupt segment", why: "lost extent with data", edit: lost(0, 4)},
	{name: "lost-base-hash", expect: "corrupt segment", why: "lost extent with a base hash",
		edit: lost(1, 1|2|4)},
	{name: "lost-without-feature", expect: "corrupt segment",
		why:  "lost extent in a patch that does not require lost-sectors",
		edit: contentEdit(vectortest.Put32(48+16, 1|4))},
	{name: "data-too-large", expect: "corrupt segment", why: "segment of 4 MiB + 512 bytes of data",
		make: large(Extent{0, MaxSegmentData, Data}, Extent{MaxSegmentData, 512, Data})},
	{name: "data-missing", expect: "corrupt segment", why: "less data than the table says",
		edit: contentEdit(func(b []byte) []byte { return b[:len(b)-512] })},
	{name: "data-length-2-64", expect: "corrupt segment", why: "data extent of 2^64 - 512 bytes",
		edit: contentEdit(vectortest.Put64(8+8, 1<<64-512))},
	{name: "data-left-over", expect: "corrupt segment", why: "more data than the table says",
		edit: contentEdit(func(b []byte) []byte { return append(b, make([]byte, 512)...) })},
	{name: "data-hash", expect: "corrupt segment", why: "hash of an extent is not that of its data",
		edit: contentEdit(func(b []byte) []byte { b[8+24] ^= 1; return b })},
}

var orderVectors = []vector{
	{name: "extent-empty", expect: "corrupt segment", why: "extent of length 0",
		edit: first(Extent{0, 512, Data}, Extent{1024, 0, Zero}, Extent{2048, 512, Data})},
	{name: "extent-unaligned-start", expect: "corrupt segment", why: "extent that starts at 1000",
		edit: first(Extent{0, 512, Data}, Extent{1000, 536, Data}, Extent{2048, 512, Data})},
	{name: "extent-unaligned-end", expect: "corrupt segment",
		why:  "extent that ends at 1124, before the end of the volume",
		edit: first(Extent{0, 512, Data}, Extent{1024, 100, Data}, Extent{2048, 512, Data})},
	{name: "extent-past-end", expect: "corrupt segment", file: "corrupt index",
		why:  "extent that ends 512 bytes behind the volume",
		edit: last(Extent{64<<10 - 512, 1024, Data})},
	{name: "extent-near-2-63", expect: "corrupt segment", file: "corrupt index",
		why:  "extent that ends at 2^63",
		edit: last(Extent{math.MaxInt64 - 511, 512, Zero})},
	{name: "extent-at-2-63", expect: "corrupt segment", file: "corrupt index",
		why:  "extent that starts at 2^63",
		edit: last(Extent{math.MinInt64, 512, Zero})},
	{name: "extent-length-2-63", expect: "corrupt segment", file: "corrupt trailer",
		why:  "extent whose end exceeds 2^63",
		edit: last(Extent{4096, math.MaxInt64 - 4095, Zero})},
	{name: "extent-length-2-64", expect: "corrupt segment",
		why:  "extent of 2^64 - 512 bytes: its end, in 64 bits, lies before its start",
		edit: last(Extent{4096, -512, Zero}, Extent{4096, 512, Zero})},
	{name: "extent-before-start", expect: "corrupt segment", file: "corrupt index",
		why:  "an extent begins before start",
		edit: func(p *rawPatch) { p.header.Start = 512 }},
	{name: "extent-across-start", expect: "corrupt segment",
		why: "an extent begins before start, and ends behind it",
		edit: func(p *rawPatch) {
			p.header.Start = 1536
			p.segments = p.segments[1:]
			p.segments[0] = newRaw(Extent{1024, 1024, Zero})
		}, file: "corrupt index"},
	{name: "extents-overlap", expect: "corrupt segment", why: "two extents of a segment overlap",
		edit: first(Extent{0, 1024, Data}, Extent{512, 1024, Zero}, Extent{2048, 512, Data})},
	{name: "extents-out-of-order", expect: "corrupt segment",
		why:  "an extent lies before the one that precedes it in the segment",
		edit: first(Extent{512, 512, Data}, Extent{0, 512, Zero}, Extent{2048, 512, Data})},
	{name: "segments-overlap", expect: "corrupt segment", file: "corrupt index",
		why:  "a segment begins before the end of the one before",
		edit: last(Extent{2048, 512, Data})},
	{name: "segments-out-of-order", expect: "corrupt segment", file: "corrupt index",
		why:  "two segments in the wrong order",
		edit: func(p *rawPatch) { slices.Reverse(p.segments) }},
	{name: "full-starts-late", expect: "corrupt segment", file: "corrupt trailer",
		why:  "a full patch without the first 512 bytes",
		make: full([]Extent{{512, 2488, Data}})},
	{name: "full-gap", expect: "corrupt segment", file: "corrupt trailer",
		why:  "a full patch with a gap between two extents",
		make: full([]Extent{{0, 512, Data}, {1024, 1976, Data}})},
	{name: "full-gap-between-segments", expect: "corrupt segment", file: "corrupt trailer",
		why:  "a full patch with a gap between two segments",
		make: full([]Extent{{0, 512, Data}}, []Extent{{1024, 1976, Data}})},
}
