package sigfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lvmsync/format"
	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/vectortest"
)

const badDir = "../../testdata/bad-signatures"

// A vector breaks one rule of docs/signature.md.
type vector struct {
	name, expect, why string
	edit              func(*rawSignature)
}

func (v vector) bytes() []byte {
	s := validSignature()
	v.edit(s)
	return s.bytes()
}

var vectors = []vector{
	{"empty", "not a signature", "no bytes at all", only("")},
	{"text", "not a signature", "a text", only("This is not a signature, but a text about one.\n")},
	{"patch", "not a signature", "a patch", func(s *rawSignature) {
		s.editHeader = func(b []byte) []byte { copy(b[8:], frame.PatchMagic); return b }
	}},
	{"version-0", "corrupt header", "version 0", func(s *rawSignature) { s.version = 0 }},
	{"version-2", "unsupported version", "version 2, else like version 1",
		func(s *rawSignature) { s.version = 2 }},
	{"version-2-20-bytes", "unsupported version", "ends behind version 2", func(s *rawSignature) {
		s.version = 2
		cutAt(func(int, int) int { return 20 })(s)
	}},
	{"cut-in-magic", "truncated", "ends within the magic of the first frame",
		cutAt(func(int, int) int { return 3 })},
	{"cut-in-header", "truncated", "ends within the header",
		cutAt(func(int, int) int { return 60 })},
	{"header-frame-size", "corrupt header",
		"frame is one byte longer than its JSON text and checksum", func(s *rawSignature) {
			s.editHeader = func(b []byte) []byte {
				return vectortest.Put32(4, le.Uint32(b[4:])+1)(append(b, ' '))
			}
		}},
	{"header-checksum", "corrupt header", "checksum of the header is wrong",
		flipAt(func(tables, _ int) int { return tables - 1 })},
	{"json-twice", "corrupt header", "seed is there twice",
		jsonText("{", `{"seed":"fedcba9876543210",`)},
	{"json-type", "corrupt header", "block_size is a string", jsonText("4096", `"4096"`)},
	{"json-end", "corrupt header", "JSON text lacks its last brace", jsonText("}", "")},
	{"seed-number", "corrupt header", "seed is a number", jsonText(`"0123456789abcdef"`, "7")},
	{"seed-braces", "corrupt header", "seed has 15 digits and a brace",
		jsonText("0123456789abcdef", "{123456789abcdef")},
	{"sample-without-hash", "corrupt header", "a sample without hash",
		jsonText("{", `{"fingerprint":[{"offset":0}],`)},
	{"sample-without-offset", "corrupt header", "a sample without offset",
		jsonText("{", `{"fingerprint":[{"hash":"0123456789abcdef"}],`)},
	{"feature-unknown", "unsupported feature",
		"requires the feature time-travel, which may explain the missing seed",
		func(s *rawSignature) {
			s.json = `{"id":"0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a",` +
				`"required_features":["time-travel"]}`
		}},
	{"id-upper-name", "corrupt header", "no id, for ID is another name", jsonText(`"id"`, `"ID"`)},
	{"seed-missing", "corrupt header", "no seed", jsonText(`,"seed":"0123456789abcdef"`, "")},
	{"seed-null", "corrupt header", "seed is null", jsonText(`"0123456789abcdef"`, "null")},
	{"seed-empty", "corrupt header", "seed has no characters", jsonText("0123456789abcdef", "")},
	{"volume-size", "corrupt header", "volume of 0 bytes", jsonText("12000", "0")},
	{"block-size", "corrupt header", "blocks of 3072 bytes", jsonText("4096", "3072")},
	{"block-size-large", "corrupt header", "blocks of 2 MiB", jsonText("4096", "2097152")},
	{"fingerprint-order", "corrupt header", "the second sample begins within the first",
		jsonText("{", `{"fingerprint":[{"offset":0,"hash":"0123456789abcdef"},`+
			`{"offset":3584,"hash":"0123456789abcdef"}],`)},
	{"cut-after-header", "truncated", "ends after the header",
		cutAt(func(tables, _ int) int { return tables })},
	{"cut-before-trailer", "truncated", "ends before the trailer",
		cutAt(func(_, trailer int) int { return trailer })},
	{"table-magic", "corrupt table", "a table begins with another magic",
		flipAt(func(tables, _ int) int { return tables })},
	{"flip-table", "corrupt table", "one bit flipped in a table",
		flipAt(func(tables, _ int) int { return tables + 30 })},
	{"table-too-large", "corrupt table", "a frame that says that its content has 532497 bytes",
		func(s *rawSignature) {
			s.frame = func(content []byte) []byte {
				return vectortest.Put32(5, maxTableContent+1)(frame.AppendStored(nil, content))
			}
		}},
	{"table-empty", "corrupt table", "a table of no blocks",
		firstTable(func(b []byte) []byte { return vectortest.Put32(8, 0)(b[:tableFixedSize]) })},
	{"table-reserved", "corrupt table", "reserved field of a table is not 0",
		firstTable(vectortest.Put32(12, 1))},
	{"table-bits", "corrupt table", "a bit of a block that is not there",
		firstTable(func(b []byte) []byte { b[16] |= 1 << 2; return b })},
	{"table-hash-missing", "corrupt table", "a table with a hash less",
		firstTable(func(b []byte) []byte { return b[:len(b)-hashSize] })},
	{"table-hash-too-many", "corrupt table", "a table with a hash more",
		firstTable(func(b []byte) []byte { return append(b, b[17:25]...) })},
	{"table-first", "corrupt table", "the first table begins with block 1",
		firstTable(vectortest.Put64(0, 1))},
	{"table-past-end", "corrupt table", "a table has a block more than the volume",
		func(s *rawSignature) {
			more := Table{First: 2, Zero: []bool{false, true}, Sums: []uint64{9, 0}}
			s.tables[1] = more.append(nil)
		}},
	{"cut-in-trailer", "truncated", "ends within the trailer",
		cutAt(func(_, trailer int) int { return trailer + 20 })},
	{"trailer-magic", "corrupt trailer", "another skippable frame in place of the trailer",
		func(s *rawSignature) {
			s.editTrailer = func(b []byte) []byte { copy(b[8:], frame.PatchEndMagic); return b }
		}},
	{"trailer-frame-size", "corrupt trailer", "frame size is 49",
		func(s *rawSignature) { s.editTrailer = vectortest.Put32(4, 49) }},
	{"trailer-checksum", "corrupt trailer", "checksum of the trailer is wrong",
		flipAt(func(_, trailer int) int { return trailer + frame.SignatureEndSize - 1 })},
	{"trailer-tables", "corrupt trailer", "counts a table too many",
		func(s *rawSignature) { s.totals.tables++ }},
	{"trailer-blocks", "corrupt trailer", "counts a block too many",
		func(s *rawSignature) { s.totals.blocks++ }},
	{"trailer-zeros", "corrupt trailer", "counts 2^64 - 1 zero blocks",
		func(s *rawSignature) { s.totals.zeros = -1 }},
	{"signature-checksum", "corrupt trailer", "checksum of the signature is wrong",
		func(s *rawSignature) { s.editTrailer = vectortest.Put64(40, 7) }},
	{"blocks-missing", "corrupt trailer", "the last block of the volume is in no table",
		func(s *rawSignature) {
			s.tables = s.tables[:1]
			s.totals = totals{tables: 1, blocks: 2, zeros: 1}
		}},
	{"garbage-after-trailer", "corrupt end", "a byte behind the trailer", func(s *rawSignature) {
		s.whole = func(b []byte, _, _ int) []byte { return append(b, 0) }
	}},
}

// verdict is the name that docs/signature.md gives to the outcome of reading.
func verdict(err error) string {
	var c *format.CorruptError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrNotSignature):
		return "not a signature"
	case errors.Is(err, format.ErrVersion):
		return "unsupported version"
	case errors.Is(err, format.ErrFeature):
		return "unsupported feature"
	case errors.Is(err, format.ErrTruncated):
		return "truncated"
	case errors.As(err, &c) && errors.Is(err, format.ErrCorrupt):
		return "corrupt " + c.Part
	}
	return "no verdict: " + err.Error()
}

// TestBad reads every file of testdata/bad-signatures, compares the verdicts, and
// checks that each stands in docs/signature.md in the row of its verdict.
func TestBad(t *testing.T) {
	if _, err := Verify(bytes.NewReader(validSignature().bytes())); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/signature.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	for _, row := range regexp.MustCompile(
		`(?m)^\| \d+ \| .* \| ([a-z ,]+) \| ([^|]*) \|$`).FindAllStringSubmatch(string(doc), -1) {
		for _, name := range regexp.MustCompile(
			"`([a-z0-9-]+)`").FindAllStringSubmatch(row[2], -1) {
			if documented[name[1]] != "" {
				t.Errorf("%s is an example of two rules", name[1])
			}
			documented[name[1]], _, _ = strings.Cut(row[1], ",")
		}
	}
	var files []string
	for _, v := range vectors {
		name := filepath.Join(badDir, v.name)
		files = append(files, name+".sig", name+".txt")
		if *vectortest.Update {
			vectortest.Create(t, name+".sig", v.bytes())
			vectortest.Create(t, name+".txt", []byte("expect: "+v.expect+"\nwhy: "+v.why+"\n"))
		}
		b, err := os.ReadFile(name + ".sig")
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{b, v.bytes()} {
			h, err := Verify(bytes.NewReader(b))
			if got := verdict(err); got != v.expect || h.VolumeSize != 0 {
				t.Errorf("%s: %q (%v), want %q", v.name, got, err, v.expect)
			}
		}
		if text := vectortest.ParseVerdict(t, name+".lvmpatch"); text["expect"] != v.expect ||
			text["why"] == "" {
			t.Errorf("%s: its text says %q", v.name, text)
		}
		if documented[v.name] != v.expect {
			t.Errorf("%s is %q, its rule says %q", v.name, v.expect, documented[v.name])
		}
		delete(documented, v.name)
	}
	for name := range documented {
		t.Errorf("%s is not in %s", name, badDir)
	}
	for _, name := range vectortest.Glob(t, badDir+"/*") {
		if !slices.Contains(files, name) {
			t.Errorf("%s comes from no vector", name)
		}
	}
}
