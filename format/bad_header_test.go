package format

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/vectortest"
)

// A vector is a malformed patch that breaks one rule of docs/format.md.
type vector struct {
	name   string // of the file in testdata/bad
	expect string // the verdict
	file   string // the verdict at random access, where that is another one
	why    string
	edit   func(*rawPatch)         // breaks a deltaPatch, or
	make   func(testing.TB) []byte // makes all of it
}

func (v vector) bytes(t testing.TB) []byte {
	if v.make != nil {
		return v.make(t)
	}
	p := deltaPatch()
	v.edit(p)
	return p.bytes(t)
}

// verdicts is the text beside the patch.
func (v vector) verdicts() string {
	s := "expect: " + v.expect + "\n"
	if v.file != "" {
		s += "file: " + v.file + "\n"
	}
	return s + "why: " + v.why + "\n"
}

// inputOf makes a vector of bytes that are no patch at all.
func inputOf(s string) func(testing.TB) []byte {
	return func(testing.TB) []byte { return []byte(s) }
}

// cut ends the patch at a place, and a few bytes further on.
func cut(at func(places) int, further int) func(*rawPatch) {
	return func(p *rawPatch) {
		p.whole = func(b []byte, at2 places) []byte { return b[:at(at2)+further] }
	}
}

// flip flips one bit at a place, and a few bytes further on.
func flip(at func(places) int, further int) func(*rawPatch) {
	return func(p *rawPatch) {
		p.whole = func(b []byte, at2 places) []byte { b[at(at2)+further] ^= 0x10; return b }
	}
}

func atStart(places) int     { return 0 }
func atFirst(p places) int   { return p.segments[0] }
func atSecond(p places) int  { return p.segments[1] }
func atIndex(p places) int   { return p.index }
func atTrailer(p places) int { return p.trailer }

// jsonText puts a text in place of the header's, changed as told.
func jsonText(old, new string) func(*rawPatch) {
	return func(p *rawPatch) {
		p.json = `{"id":"0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a","kind":"delta",` +
			`"created":"2026-01-02T03:04:05Z","volume_size":65536,"granularity":4096}`
		if !strings.Contains(p.json, old) {
			panic("nothing to replace: " + old)
		}
		p.json = strings.Replace(p.json, old, new, 1)
	}
}

var headerVectors = []vector{
	{name: "empty", expect: "not a patch", why: "no bytes at all", make: inputOf("")},
	{name: "text", expect: "not a patch", why: "a text",
		make: inputOf("This is not a patch, but a text about patches.\n")},
	{name: "zstd-file", expect: "not a patch", why: "a zstd file without a patch header",
		make: func(testing.TB) []byte {
			return frame.AppendStored(nil,
				[]byte("an ordinary zstd file"))
		}},
	{name: "skippable-file", expect: "not a patch", why: "a skippable zstd frame of somebody else",
		make: func(testing.TB) []byte {
			return append(frame.AppendHeader(nil, 16),
				"SOMEBODY  ELSE'S"...)
		}},
	{name: "skippable-magic", expect: "not a patch",
		why:  "the header's frame has another skippable magic, 0x184D2A5C",
		edit: func(p *rawPatch) { p.editHeader = vectortest.Put32(0, 0x184D2A5C) }},

	{name: "version-0", expect: "corrupt header", why: "format version 0",
		edit: func(p *rawPatch) { p.version = 0 }},
	{name: "version-2", expect: "unsupported version", why: "format version 2, else like version 1",
		edit: func(p *rawPatch) { p.version = 2 }},
	{name: "version-2-other-layout", expect: "unsupported version",
		why: "format version 2, nothing after it like version 1",
		make: func(testing.TB) []byte {
			b := append(frame.AppendHeader(nil, 100), frame.PatchMagic...)
			return append(le.AppendUint32(b, 2), bytes.Repeat([]byte("?"), 88)...)
		}},
	{name: "version-2-20-bytes", expect: "unsupported version", why: "ends behind format version 2",
		make: func(testing.TB) []byte {
			return le.AppendUint32(append(frame.AppendHeader(nil, 100), frame.PatchMagic...), 2)
		}},

	{name: "cut-in-magic", expect: "truncated", why: "ends within the magic of the first frame",
		edit: cut(atStart, 3)},
	{name: "cut-in-header", expect: "truncated", why: "ends within the header",
		edit: cut(atStart, 100)},
	{name: "flip-header", expect: "corrupt header", why: "one bit flipped in the header's JSON",
		edit: flip(atStart, 100)},
	{name: "header-checksum", expect: "corrupt header", why: "checksum of the header is wrong",
		edit: flip(atFirst, -1)},
	{name: "header-frame-size", expect: "corrupt header",
		why: "frame is one byte longer than its JSON text and checksum",
		edit: func(p *rawPatch) {
			p.editHeader = func(b []byte) []byte {
				return vectortest.Put32(4,
					le.Uint32(b[4:])+1)(append(b, ' '))
			}
		}},
	{name: "header-json-too-long", expect: "corrupt header", why: "64 KiB + 1 bytes of JSON",
		edit: func(p *rawPatch) {
			jsonText("}", "}")(p)
			p.json += strings.Repeat(" ", frame.MaxJSON+1-len(p.json))
		}},
	{name: "header-json-syntax", expect: "corrupt header", why: "JSON text lacks its last brace",
		edit: jsonText("}", "")},
	{name: "header-json-utf-8", expect: "corrupt header", why: "JSON text is not UTF-8",
		edit: jsonText("{", "{\"host\":\"caf\xe9\",")},
	{name: "header-json-type", expect: "corrupt header", why: "volume_size is a string",
		edit: jsonText("65536", `"65536"`)},
	{name: "header-not-object", expect: "corrupt header", why: "JSON text is an array",
		edit: func(p *rawPatch) { p.json = "[]" }},
	{name: "header-id-missing", expect: "corrupt header", why: "no id",
		edit: jsonText(`"id"`, `"id_"`)},
	{name: "header-id", expect: "corrupt header", why: "id is not a UUID",
		edit: jsonText("0b54d3c2", "monday")},
	{name: "header-created", expect: "corrupt header", why: "created is not a time",
		edit: jsonText("2026-01-02T", "yesterday ")},
	{name: "header-kind", expect: "corrupt header",
		why: `kind is "differential"`, edit: jsonText("delta", "differential")},
	{name: "header-volume-size", expect: "corrupt header", why: "volume of 0 bytes",
		edit: jsonText("65536", "0")},
	{name: "header-volume-size-huge", expect: "corrupt header", why: "volume of 2^63 bytes",
		edit: jsonText("65536", "9223372036854775808")},
	{name: "header-granularity", expect: "corrupt header", why: "granularity of 1000 bytes",
		edit: jsonText("4096", "1000")},
	{name: "header-planned", expect: "corrupt header",
		why:  "more bytes planned than the volume has",
		edit: jsonText(`"volume`, `"planned":{"extents":4,"bytes":65537},"volume`)},
	{name: "header-start", expect: "corrupt header", why: "starts at the end of the volume",
		edit: jsonText(`"volume`, `"start":65536,"volume`)},
	{name: "header-start-full", expect: "corrupt header",
		why:  "a full patch that does not start at 0",
		edit: jsonText(`"delta"`, `"full","start":512`)},
	{name: "header-storage", expect: "corrupt header",
		why: "a place of the source ends past 2^63 - 1",
		edit: jsonText(`"volume`, `"source":{"storage":[{"id":"7:0",`+
			`"offset":9223372036854775296,"length":512}]},"volume`)},
	{name: "hash-seed", expect: "corrupt header", why: "seed of base hashes is a number",
		edit: jsonText(`"volume`,
			`"base":{"hash_seed":7},"required_features":["base-hash-seed"],"volume`)},
	{name: "hash-seed-without-feature", expect: "corrupt header",
		why:  "base hashes have a seed, which no feature tells",
		edit: jsonText(`"volume`, `"base":{"hash_seed":"0000000000000007"},"volume`)},
	{name: "fingerprint-hash", expect: "corrupt header", why: "hash of a sample has 15 digits",
		edit: jsonText(`"volume`,
			`"base":{"fingerprint":[{"offset":0,"hash":"0123456789abcde"}]},"volume`)},
	{name: "fingerprint-order", expect: "corrupt header",
		why: "the second sample begins within the first",
		edit: jsonText(`"volume`, `"base":{"fingerprint":[{"offset":0,"hash":"0123456789abcdef"},`+
			`{"offset":3584,"hash":"0123456789abcdef"}]},"volume`)},
	{name: "fingerprint-past-end", expect: "corrupt header",
		why: "a sample reaches past the end of the volume",
		edit: jsonText(`"volume`,
			`"base":{"fingerprint":[{"offset":61952,"hash":"0123456789abcdef"}]},"volume`)},
	{name: "fingerprint-too-long", expect: "corrupt header", why: "257 samples, limit 256",
		edit: func(p *rawPatch) {
			var samples []string
			for i := range MaxSamples + 1 {
				samples = append(samples,
					fmt.Sprintf(`{"offset":%d,"hash":"0123456789abcdef"}`, i*SampleSize))
			}
			jsonText(`"volume_size":65536`, `"base":{"fingerprint":[`+strings.Join(samples,
				",")+`]},"volume_size":1073741824`)(p)
		}},
	{name: "feature-unknown", expect: "unsupported feature",
		why:  "requires the feature time-travel",
		edit: jsonText(`"volume`, `"required_features":["time-travel"],"volume`)},
	{name: "feature-unknown-kind", expect: "unsupported feature",
		why:  "requires an unknown feature, which explains the unknown kind",
		edit: jsonText(`"delta"`, `"sideways","required_features":["sideways-patches"]`)},
	{name: "full-with-base", expect: "corrupt header", why: "a full patch with a base",
		edit: jsonText(`"delta"`, `"full","base":{"exact":true}`)},
}
