package format

import (
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format/internal/vectortest"
)

// dup puts a copy of the patch behind it.
func dup(b []byte, _ places) []byte { return slices.Concat(b, b) }

var endVectors = []vector{
	{name: "cut-after-header", expect: "truncated", why: "ends after the header",
		edit: cut(atFirst, 0)},
	{name: "cut-in-segment", expect: "truncated", why: "ends within the first segment",
		edit: cut(atFirst, 300)},
	{name: "cut-in-frame-header", expect: "truncated",
		why: "ends within the header of a zstd frame", edit: cut(atFirst, 7)},
	{name: "cut-between-segments", expect: "truncated", why: "ends after the first segment",
		edit: cut(atSecond, 0)},
	{name: "cut-before-index", expect: "truncated", why: "ends after the last segment",
		edit: cut(atIndex, 0)},
	{name: "cut-in-index", expect: "truncated", why: "ends within the index",
		edit: cut(atIndex, 40)},
	{name: "cut-before-trailer", expect: "truncated", why: "ends after the index",
		edit: cut(atTrailer, 0)},
	{name: "cut-in-trailer", expect: "truncated", why: "ends within the trailer",
		edit: cut(atTrailer, 71)},
	{name: "flip-segment", expect: "corrupt segment", why: "one bit flipped in a segment's data",
		edit: flip(atSecond, 200)},
	{name: "flip-index", expect: "corrupt index", why: "one bit flipped in the index",
		edit: flip(atIndex, 25)},
	{name: "flip-trailer", expect: "corrupt trailer", why: "one bit flipped in the trailer",
		edit: flip(atTrailer, 20)},

	{name: "index-missing", expect: "corrupt index", why: "the trailer follows the segments",
		edit: func(p *rawPatch) { p.sealedIndex = func([]byte) []byte { return nil } }},
	{name: "index-magic", expect: "corrupt index", why: "the index has another magic",
		edit: func(p *rawPatch) { p.editIndex = vectortest.Put64(8, 0x2020202058444e49) }},
	{name: "index-checksum", expect: "corrupt index", why: "checksum of the index is wrong",
		edit: func(
			p *rawPatch) {
			p.sealedIndex = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
		}},
	{name: "index-count", expect: "corrupt index",
		why:  "count of 3 entries in a frame that holds 2",
		edit: func(p *rawPatch) { p.editIndex = vectortest.Put64(16, 3) }},
	{name: "index-count-huge", expect: "corrupt index",
		why: "count of 2^61 entries, which times 24 is 0 in 64 bits",
		edit: func(p *rawPatch) {
			p.editIndex = func(b []byte) []byte {
				return vectortest.Put32(4,
					24)(vectortest.Put64(16, 1<<61)(b))[:24]
			}
		}},
	{name: "index-entry-missing", expect: "corrupt index",
		why: "the index lacks the second segment",
		edit: func(
			p *rawPatch) {
			p.editEntries = func(e []IndexEntry) []IndexEntry { return e[:1] }
		}},
	{name: "index-entry-too-many", expect: "corrupt index", why: "the index lists a third segment",
		edit: func(p *rawPatch) {
			p.editEntries = func(e []IndexEntry) []IndexEntry {
				return append(e, IndexEntry{Offset: e[1].Offset + 100, Start: 8192, End: 8704})
			}
		}},
	{name: "index-first-place", expect: "corrupt index",
		why: "the first segment is not where the index says",
		edit: func(p *rawPatch) {
			p.editEntries = func(
				e []IndexEntry) []IndexEntry {
				e[0].Offset++
				return e
			}
		}},
	{name: "index-place", expect: "corrupt index", file: "corrupt segment",
		why: "the second segment is not where the index says",
		edit: func(p *rawPatch) {
			p.editEntries = func(
				e []IndexEntry) []IndexEntry {
				e[1].Offset++
				return e
			}
		}},
	{name: "index-place-past-end", expect: "corrupt index",
		why: "the index places a segment behind itself",
		edit: func(p *rawPatch) {
			p.editEntries = func(e []IndexEntry) []IndexEntry { e[1].Offset += 1 << 40; return e }
		}},
	{name: "index-start", expect: "corrupt index", file: "corrupt segment",
		why: "the index has another start for the second segment",
		edit: func(p *rawPatch) {
			p.editEntries = func(
				e []IndexEntry) []IndexEntry {
				e[1].Start -= 512
				return e
			}
		}},
	{name: "index-end", expect: "corrupt index", file: "corrupt segment",
		why: "the index has another end for the second segment",
		edit: func(p *rawPatch) {
			p.editEntries = func(
				e []IndexEntry) []IndexEntry {
				e[1].End += 512
				return e
			}
		}},
	{name: "index-twice", expect: "corrupt trailer", file: "corrupt index",
		why: "a second index follows the index",
		edit: func(p *rawPatch) {
			p.sealedIndex = func(b []byte) []byte {
				return slices.Concat(b,
					b)
			}
		}},
	{name: "segment-after-index", expect: "corrupt trailer", file: "corrupt index",
		why: "a segment follows the index",
		edit: func(p *rawPatch) {
			p.sealedIndex = func(b []byte) []byte {
				return append(b,
					newRaw(Extent{8192, 512, Data}).bytes()...)
			}
		}},

	{name: "trailer-magic", expect: "corrupt trailer", file: "truncated",
		why:  "the trailer has another magic",
		edit: func(p *rawPatch) { p.editTrailer = vectortest.Put64(8, 0x202020204c494154) }},
	{name: "trailer-frame-size", expect: "corrupt trailer",
		why:  "the trailer's frame says 65 bytes in place of 64",
		edit: func(p *rawPatch) { p.editTrailer = vectortest.Put32(4, 65) }},
	{name: "trailer-checksum", expect: "corrupt trailer", why: "checksum of the trailer is wrong",
		edit: flip(atTrailer, 71)},
	{name: "trailer-segments", expect: "corrupt trailer", file: "corrupt index",
		why:  "the trailer counts 3 segments in place of 2",
		edit: func(p *rawPatch) { p.editEnd = func(t *trailer) { t.Segments++ } }},
	{name: "trailer-extents", expect: "corrupt trailer", file: "ok",
		why:  "the trailer counts an extent too many",
		edit: func(p *rawPatch) { p.editEnd = func(t *trailer) { t.Extents++ } }},
	{name: "trailer-data-bytes", expect: "corrupt trailer", file: "ok",
		why:  "the trailer counts 512 bytes of data too many",
		edit: func(p *rawPatch) { p.editEnd = func(t *trailer) { t.DataBytes += 512 } }},
	{name: "trailer-zero-bytes", expect: "corrupt trailer", file: "ok",
		why:  "the trailer counts 512 bytes of zeros too few",
		edit: func(p *rawPatch) { p.editEnd = func(t *trailer) { t.ZeroBytes -= 512 } }},
	{name: "trailer-zero-bytes-missing", expect: "corrupt trailer", file: "corrupt index",
		why: "the trailer counts all of a full patch, whose segments end in the middle",
		make: func(t testing.TB) []byte {
			p := fullPatch()
			p.segments = p.segments[:1]
			p.editEnd = func(t *trailer) { t.ZeroBytes = p.header.VolumeSize - t.DataBytes }
			return p.bytes(t)
		}},
	{name: "trailer-number", expect: "corrupt trailer", why: "the trailer counts 2^64-1 extents",
		edit: func(p *rawPatch) { p.editEnd = func(t *trailer) { t.Extents = -1 } }},
	{name: "trailer-index-place", expect: "corrupt trailer", file: "corrupt index",
		why:  "the index is not where the trailer says",
		edit: func(p *rawPatch) { p.editEnd = func(t *trailer) { t.index -= 16 } }},
	{name: "trailer-index-past-end", expect: "corrupt trailer",
		why:  "the trailer places the index behind itself",
		edit: func(p *rawPatch) { p.editEnd = func(t *trailer) { t.index += 1 << 40 } }},
	{name: "patch-checksum", expect: "corrupt trailer", file: "ok",
		why: "checksum of the patch is wrong",
		edit: func(p *rawPatch) {
			p.editEnd = func(
				t *trailer) {
				t.patchSum = xxhash.Sum64String("another patch")
			}
		}},
	{name: "planned-bytes", expect: "corrupt trailer",
		why:  "the extents hold fewer bytes than the header announces",
		edit: func(p *rawPatch) { p.header.Planned = &Planned{Extents: 4, Bytes: 4096} }},
	{name: "planned-bytes-exact", expect: "corrupt trailer",
		why: "the extents hold more bytes than an exact delta has at most",
		edit: func(p *rawPatch) {
			p.header.Base, p.header.Planned = &Base{Exact: true}, &Planned{Extents: 4, Bytes: 2048}
		}},
	{name: "full-stops-early", expect: "corrupt trailer",
		why: "a full patch without the last 952 bytes of the volume",
		make: func(t testing.TB) []byte {
			p := fullPatch()
			s := p.segments[1]
			s.records, s.data = s.records[:1], nil
			return p.bytes(t)
		}},

	{name: "garbage-after-trailer", expect: "corrupt end", file: "truncated",
		why: "bytes follow the trailer",
		edit: func(p *rawPatch) {
			p.whole = func(b []byte,
				_ places) []byte {
				return append(b, '\n')
			}
		}},
	{name: "two-patches", expect: "corrupt end", file: "corrupt index",
		why:  "a second patch follows the first",
		edit: func(p *rawPatch) { p.whole = dup }},
}
