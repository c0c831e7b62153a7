package sigfile

import (
	"strings"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/vectortest"
)

// A rawSignature makes a signature piece by piece without the Writer, so that one rule
// can be broken and everything else, checksums above all, still be right.
type rawSignature struct {
	json        string
	version     uint32
	editHeader  func([]byte) []byte // the frame without its checksum
	tables      [][]byte            // contents
	frame       func([]byte) []byte // makes the frame of a table, if set
	totals      totals
	editTrailer func([]byte) []byte                        // the frame without its checksum
	whole       func(b []byte, tables, trailer int) []byte // changes what is finished
}

const rawJSON = `{"id":"0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a","volume_size":12000,` +
	`"block_size":4096,"seed":"0123456789abcdef"}`

// validSignature has two blocks of data and one of zeros, in two tables.
func validSignature() *rawSignature {
	one := Table{Zero: []bool{false, true}, Sums: []uint64{7, 0}}
	two := Table{First: 2, Zero: []bool{false}, Sums: []uint64{9}}
	return &rawSignature{json: rawJSON, version: Version,
		tables: [][]byte{one.append(nil), two.append(nil)},
		totals: totals{tables: 2, blocks: 3, zeros: 1}}
}

func (s *rawSignature) bytes() []byte {
	b := frame.AppendHeader(nil, uint32(frame.HeadFixed+len(s.json)+frame.SumSize))
	b = le.AppendUint32(append(b, frame.SignatureMagic...), s.version)
	b = append(le.AppendUint32(b, uint32(len(s.json))), s.json...)
	b = vectortest.Seal(b, s.editHeader)
	tables := len(b)
	for _, content := range s.tables {
		frame := frame.AppendStored
		if s.frame != nil {
			frame = func(b, content []byte) []byte { return append(b, s.frame(content)...) }
		}
		b = frame(b, content)
	}
	trailer := len(b)
	end := s.totals.marshal(xxhash.Sum64(b))
	b = append(b, vectortest.Seal(end[:len(end)-frame.SumSize], s.editTrailer)...)
	if s.whole != nil {
		b = s.whole(b, tables, trailer)
	}
	return b
}

// jsonText changes the JSON text.
func jsonText(old, new string) func(*rawSignature) {
	if !strings.Contains(rawJSON, old) {
		panic("nothing to replace: " + old)
	}
	return func(s *rawSignature) { s.json = strings.Replace(s.json, old, new, 1) }
}

// only makes the input something else.
func only(b string) func(*rawSignature) {
	return func(s *rawSignature) { s.whole = func([]byte, int, int) []byte { return []byte(b) } }
}

// cutAt ends the signature at a place.
func cutAt(at func(tables, trailer int) int) func(*rawSignature) {
	return func(s *rawSignature) {
		s.whole = func(b []byte, x, y int) []byte { return b[:at(x, y)] }
	}
}

func flipAt(at func(tables, trailer int) int) func(*rawSignature) {
	return func(s *rawSignature) {
		s.whole = func(b []byte, x, y int) []byte { b[at(x, y)] ^= 0x10; return b }
	}
}

func firstTable(edit func([]byte) []byte) func(*rawSignature) {
	return func(s *rawSignature) { s.tables[0] = edit(s.tables[0]) }
}
