package format

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

const badSignatureDir = "../testdata/bad-signatures"

// A rawSignature makes a signature piece by piece without the Writer, so that one rule
// can be broken and everything else, checksums above all, still be right.
type rawSignature struct {
	json        string
	version     uint32
	editHeader  func([]byte) []byte // the frame without its checksum
	tables      [][]byte            // contents
	frame       func([]byte) []byte // makes the frame of a table, if set
	totals      signatureTotals
	editTrailer func([]byte) []byte                        // the frame without its checksum
	whole       func(b []byte, tables, trailer int) []byte // changes what is finished
}

const rawSignatureJSON = `{"id":"0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a","volume_size":12000,"block_size":4096,"seed":"0123456789abcdef"}`

// validSignature has two blocks of data and one of zeros, in two tables.
func validSignature() *rawSignature {
	one := SignatureTable{Zero: []bool{false, true}, Sums: []uint64{7, 0}}
	two := SignatureTable{First: 2, Zero: []bool{false}, Sums: []uint64{9}}
	return &rawSignature{json: rawSignatureJSON, version: SignatureVersion,
		tables: [][]byte{one.append(nil), two.append(nil)}, totals: signatureTotals{tables: 2, blocks: 3, zeros: 1}}
}

func (s *rawSignature) bytes() []byte {
	b := appendFrameHeader(nil, uint32(headerFixedSize+len(s.json)+checksumSize))
	b = le.AppendUint32(append(b, signatureMagic...), s.version)
	b = append(le.AppendUint32(b, uint32(len(s.json))), s.json...)
	b = seal(b, s.editHeader)
	tables := len(b)
	for _, content := range s.tables {
		frame := appendStored
		if s.frame != nil {
			frame = func(b, content []byte) []byte { return append(b, s.frame(content)...) }
		}
		b = frame(b, content)
	}
	trailer := len(b)
	end := s.totals.marshal(xxhash.Sum64(b))
	b = append(b, seal(end[:len(end)-checksumSize], s.editTrailer)...)
	if s.whole != nil {
		b = s.whole(b, tables, trailer)
	}
	return b
}

// A signatureVector breaks one rule of docs/signature.md.
type signatureVector struct {
	name, expect, why string
	edit              func(*rawSignature)
}

func (v signatureVector) bytes() []byte {
	s := validSignature()
	v.edit(s)
	return s.bytes()
}

// signatureText changes the JSON text.
func signatureText(old, new string) func(*rawSignature) {
	if !strings.Contains(rawSignatureJSON, old) {
		panic("nothing to replace: " + old)
	}
	return func(s *rawSignature) { s.json = strings.Replace(s.json, old, new, 1) }
}

// only makes the input something else.
func only(b string) func(*rawSignature) {
	return func(s *rawSignature) { s.whole = func([]byte, int, int) []byte { return []byte(b) } }
}

// cutSignature ends the signature at a place.
func cutSignature(at func(tables, trailer int) int) func(*rawSignature) {
	return func(s *rawSignature) { s.whole = func(b []byte, x, y int) []byte { return b[:at(x, y)] } }
}

func flipSignature(at func(tables, trailer int) int) func(*rawSignature) {
	return func(s *rawSignature) {
		s.whole = func(b []byte, x, y int) []byte { b[at(x, y)] ^= 0x10; return b }
	}
}

func firstTable(edit func([]byte) []byte) func(*rawSignature) {
	return func(s *rawSignature) { s.tables[0] = edit(s.tables[0]) }
}

var signatureVectors = []signatureVector{
	{"empty", "not a signature", "no bytes at all", only("")},
	{"text", "not a signature", "a text", only("This is not a signature, but a text about one.\n")},
	{"patch", "not a signature", "a patch", func(s *rawSignature) {
		s.editHeader = func(b []byte) []byte { copy(b[8:], headerMagic); return b }
	}},
	{"version-0", "corrupt header", "version 0", func(s *rawSignature) { s.version = 0 }},
	{"version-2", "unsupported version", "version 2, else like version 1", func(s *rawSignature) { s.version = 2 }},
	{"version-2-20-bytes", "unsupported version", "ends behind version 2", func(s *rawSignature) {
		s.version = 2
		cutSignature(func(int, int) int { return 20 })(s)
	}},
	{"cut-in-magic", "truncated", "ends within the magic of the first frame", cutSignature(func(int, int) int { return 3 })},
	{"cut-in-header", "truncated", "ends within the header", cutSignature(func(int, int) int { return 60 })},
	{"header-frame-size", "corrupt header", "frame is one byte longer than its JSON text and checksum", func(s *rawSignature) {
		s.editHeader = func(b []byte) []byte { return put32(4, le.Uint32(b[4:])+1)(append(b, ' ')) }
	}},
	{"header-checksum", "corrupt header", "checksum of the header is wrong", flipSignature(func(tables, _ int) int { return tables - 1 })},
	{"json-twice", "corrupt header", "seed is there twice", signatureText("{", `{"seed":"fedcba9876543210",`)},
	{"json-type", "corrupt header", "block_size is a string", signatureText("4096", `"4096"`)},
	{"json-end", "corrupt header", "JSON text lacks its last brace", signatureText("}", "")},
	{"seed-number", "corrupt header", "seed is a number", signatureText(`"0123456789abcdef"`, "7")},
	{"seed-braces", "corrupt header", "seed has 15 digits and a brace", signatureText("0123456789abcdef", "{123456789abcdef")},
	{"sample-without-hash", "corrupt header", "a sample without hash", signatureText("{", `{"fingerprint":[{"offset":0}],`)},
	{"sample-without-offset", "corrupt header", "a sample without offset",
		signatureText("{", `{"fingerprint":[{"hash":"0123456789abcdef"}],`)},
	{"feature-unknown", "unsupported feature", "requires the feature time-travel, which may explain the missing seed", func(s *rawSignature) {
		s.json = `{"id":"0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a","required_features":["time-travel"]}`
	}},
	{"id-upper-name", "corrupt header", "no id, for ID is another name", signatureText(`"id"`, `"ID"`)},
	{"seed-missing", "corrupt header", "no seed", signatureText(`,"seed":"0123456789abcdef"`, "")},
	{"seed-null", "corrupt header", "seed is null", signatureText(`"0123456789abcdef"`, "null")},
	{"seed-empty", "corrupt header", "seed has no characters", signatureText("0123456789abcdef", "")},
	{"volume-size", "corrupt header", "volume of 0 bytes", signatureText("12000", "0")},
	{"block-size", "corrupt header", "blocks of 3072 bytes", signatureText("4096", "3072")},
	{"block-size-large", "corrupt header", "blocks of 2 MiB", signatureText("4096", "2097152")},
	{"fingerprint-order", "corrupt header", "the second sample begins within the first", signatureText("{",
		`{"fingerprint":[{"offset":0,"hash":"0123456789abcdef"},{"offset":3584,"hash":"0123456789abcdef"}],`)},
	{"cut-after-header", "truncated", "ends after the header", cutSignature(func(tables, _ int) int { return tables })},
	{"cut-before-trailer", "truncated", "ends before the trailer", cutSignature(func(_, trailer int) int { return trailer })},
	{"table-magic", "corrupt table", "a table begins with another magic", flipSignature(func(tables, _ int) int { return tables })},
	{"flip-table", "corrupt table", "one bit flipped in a table", flipSignature(func(tables, _ int) int { return tables + 30 })},
	{"table-too-large", "corrupt table", "a frame that says that its content has 532497 bytes", func(s *rawSignature) {
		s.frame = func(content []byte) []byte { return put32(5, maxTableContent+1)(appendStored(nil, content)) }
	}},
	{"table-empty", "corrupt table", "a table of no blocks", firstTable(func(b []byte) []byte { return put32(8, 0)(b[:tableFixedSize]) })},
	{"table-reserved", "corrupt table", "reserved field of a table is not 0", firstTable(put32(12, 1))},
	{"table-bits", "corrupt table", "a bit of a block that is not there", firstTable(func(b []byte) []byte { b[16] |= 1 << 2; return b })},
	{"table-hash-missing", "corrupt table", "a table with a hash less", firstTable(func(b []byte) []byte { return b[:len(b)-hashSize] })},
	{"table-hash-too-many", "corrupt table", "a table with a hash more", firstTable(func(b []byte) []byte { return append(b, b[17:25]...) })},
	{"table-first", "corrupt table", "the first table begins with block 1", firstTable(put64(0, 1))},
	{"table-past-end", "corrupt table", "a table has a block more than the volume", func(s *rawSignature) {
		more := SignatureTable{First: 2, Zero: []bool{false, true}, Sums: []uint64{9, 0}}
		s.tables[1] = more.append(nil)
	}},
	{"cut-in-trailer", "truncated", "ends within the trailer", cutSignature(func(_, trailer int) int { return trailer + 20 })},
	{"trailer-magic", "corrupt trailer", "another skippable frame in place of the trailer", func(s *rawSignature) {
		s.editTrailer = func(b []byte) []byte { copy(b[8:], trailerMagic); return b }
	}},
	{"trailer-frame-size", "corrupt trailer", "frame size is 49", func(s *rawSignature) { s.editTrailer = put32(4, 49) }},
	{"trailer-checksum", "corrupt trailer", "checksum of the trailer is wrong",
		flipSignature(func(_, trailer int) int { return trailer + signatureEndSize - 1 })},
	{"trailer-tables", "corrupt trailer", "counts a table too many", func(s *rawSignature) { s.totals.tables++ }},
	{"trailer-blocks", "corrupt trailer", "counts a block too many", func(s *rawSignature) { s.totals.blocks++ }},
	{"trailer-zeros", "corrupt trailer", "counts 2^64 - 1 zero blocks", func(s *rawSignature) { s.totals.zeros = -1 }},
	{"signature-checksum", "corrupt trailer", "checksum of the signature is wrong", func(s *rawSignature) { s.editTrailer = put64(40, 7) }},
	{"blocks-missing", "corrupt trailer", "the last block of the volume is in no table", func(s *rawSignature) {
		s.tables = s.tables[:1]
		s.totals = signatureTotals{tables: 1, blocks: 2, zeros: 1}
	}},
	{"garbage-after-trailer", "corrupt end", "a byte behind the trailer", func(s *rawSignature) {
		s.whole = func(b []byte, _, _ int) []byte { return append(b, 0) }
	}},
}

func signatureVerdict(err error) string {
	if errors.Is(err, ErrNotSignature) {
		return "not a signature"
	}
	return verdict(err)
}

// TestBadSignatures reads every file of testdata/bad-signatures, compares the verdicts, and
// checks that each stands in docs/signature.md in the row of its verdict.
func TestBadSignatures(t *testing.T) {
	if _, err := VerifySignature(bytes.NewReader(validSignature().bytes())); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/signature.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	for _, row := range regexp.MustCompile(`(?m)^\| \d+ \| .* \| ([a-z ,]+) \| ([^|]*) \|$`).FindAllStringSubmatch(string(doc), -1) {
		for _, name := range regexp.MustCompile("`([a-z0-9-]+)`").FindAllStringSubmatch(row[2], -1) {
			if documented[name[1]] != "" {
				t.Errorf("%s is an example of two rules", name[1])
			}
			documented[name[1]], _, _ = strings.Cut(row[1], ",")
		}
	}
	var files []string
	for _, v := range signatureVectors {
		name := filepath.Join(badSignatureDir, v.name)
		files = append(files, name+".sig", name+".txt")
		if *update {
			create(t, name+".sig", v.bytes())
			create(t, name+".txt", []byte("expect: "+v.expect+"\nwhy: "+v.why+"\n"))
		}
		b, err := os.ReadFile(name + ".sig")
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{b, v.bytes()} {
			h, err := VerifySignature(bytes.NewReader(b))
			if got := signatureVerdict(err); got != v.expect || h.VolumeSize != 0 {
				t.Errorf("%s: %q (%v), want %q", v.name, got, err, v.expect)
			}
		}
		if text := parseVerdict(t, name+".lvmpatch"); text["expect"] != v.expect || text["why"] == "" {
			t.Errorf("%s: its text says %q", v.name, text)
		}
		if documented[v.name] != v.expect {
			t.Errorf("%s is %q, its rule says %q", v.name, v.expect, documented[v.name])
		}
		delete(documented, v.name)
	}
	for name := range documented {
		t.Errorf("%s is not in %s", name, badSignatureDir)
	}
	for _, name := range glob(t, badSignatureDir+"/*") {
		if !slices.Contains(files, name) {
			t.Errorf("%s comes from no vector", name)
		}
	}
}

// TestGoldenSignature reads a signature that was written once and is never made anew.
func TestGoldenSignature(t *testing.T) {
	name := filepath.Join(goldenDir, "signature.sig")
	h := SignatureHeader{
		ID: uuid.MustParse("0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a"), Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Tool: "lvmsync-patch",
		Source: Source{Type: "device", Path: "/dev/vg/lv"}, VolumeSize: 30*4096 - 7, BlockSize: 4096, Seed: 0x123456789abcdef0,
		Fingerprint: Fingerprint{{Offset: 4096, Hash: 0xfedcba9876543210}},
	}
	sig, tables := signTables(t, h, rand.New(rand.NewPCG(5, 0)), 20, 10)
	if *update {
		create(t, name, sig)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got, read, err := readTables(b)
	if err != nil || cmp.Diff(h, got) != "" || cmp.Diff(tables, read) != "" {
		t.Errorf("%v\n%s%s", err, cmp.Diff(h, got), cmp.Diff(tables, read))
	}
}
