package format

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/vectortest"
)

// A rawPatch makes a patch piece by piece without the Writer, so that one rule
// can be broken and everything else, checksums above all, still be right.
type rawPatch struct {
	header   Header
	json     string // in place of the header's own, if set
	version  uint32
	segments []*rawSegment

	// Each of these may change a part; its checksum and what follows it are
	// made afterwards.
	editHeader  func([]byte) []byte             // the frame without its checksum
	editEntries func([]IndexEntry) []IndexEntry // of the index
	editIndex   func([]byte) []byte             // the frame without its checksum
	editEnd     func(*trailer)                  // the fields of the trailer
	editTrailer func([]byte) []byte             // the frame without its checksum

	// And these change what is finished.
	sealedIndex func([]byte) []byte // the index frame
	whole       func([]byte, places) []byte
}

type rawSegment struct {
	records     []Record
	data        []byte
	editContent func([]byte) []byte // before it is made a frame
	frame       func([]byte) []byte // makes the frame, if set
	between     []byte              // bytes to put before the frame
}

// places tells where the parts of a finished patch begin.
type places struct {
	segments            []int
	index, trailer, end int
}

// deltaPatch is a valid patch: a delta of two segments.
func deltaPatch() *rawPatch {
	return &rawPatch{
		header:  testHeader(Delta, 64<<10),
		version: Version,
		segments: []*rawSegment{
			newRaw(Extent{0, 512, Data}, Extent{1024, 1024, Zero}, Extent{2048, 512, Data}),
			newRaw(Extent{4096, 512, Data}),
		},
	}
}

// fullPatch is a valid full patch of two segments.
func fullPatch() *rawPatch {
	p := deltaPatch()
	p.header = testHeader(Full, 3000)
	p.segments = []*rawSegment{
		newRaw(Extent{0, 512, Data}, Extent{512, 512, Zero}),
		newRaw(Extent{1024, 1024, Zero}, Extent{2048, 952, Data}),
	}
	return p
}

// newRaw makes a segment of extents with random data.
func newRaw(extents ...Extent) *rawSegment {
	s := new(rawSegment)
	rnd := rand.NewChaCha8([32]byte{2})
	for _, e := range extents {
		r := Record{Extent: e}
		if e.Kind == Data && e.Len > 0 && e.Len <= 1<<20 {
			b := make([]byte, e.Len)
			rnd.Read(b)
			r.Hash = xxhash.Sum64(b)
			s.data = append(s.data, b...)
		}
		s.records = append(s.records, r)
	}
	return s
}

// set replaces the extent i of the segment, but not its data.
func (s *rawSegment) set(i int, off, length int64) {
	s.records[i].Off, s.records[i].Len = off, length
}

func (s *rawSegment) bytes() []byte {
	b := le.AppendUint64(nil, uint64(len(s.records)))
	for _, r := range s.records {
		b = appendRecord(b, r)
	}
	b = append(b, s.data...)
	if s.editContent != nil {
		b = s.editContent(b)
	}
	if s.frame != nil {
		return s.frame(b)
	}
	return frame.AppendStored(nil, b)
}

func (s *rawSegment) entry(offset int) IndexEntry {
	e := IndexEntry{Offset: int64(offset)}
	if n := len(s.records); n > 0 {
		e.Start, e.End = s.records[0].Off, s.records[n-1].End()
	}
	return e
}

func (p *rawPatch) headerFrame(t testing.TB) []byte {
	if p.json == "" {
		text, err := json.Marshal(p.header)
		if err != nil {
			t.Fatal(err)
		}
		p.json = string(text)
	}
	b := frame.AppendHeader(nil, uint32(frame.HeadFixed+len(p.json)+frame.SumSize))
	b = append(b, frame.PatchMagic...)
	b = le.AppendUint32(b, p.version)
	b = le.AppendUint32(b, uint32(len(p.json)))
	return vectortest.Seal(append(b, p.json...), p.editHeader)
}

func (p *rawPatch) indexFrame(entries []IndexEntry) []byte {
	if p.editEntries != nil {
		entries = p.editEntries(entries)
	}
	b := frame.AppendHeader(nil, uint32(indexFixedSize+len(entries)*indexEntrySize+frame.SumSize))
	b = append(b, indexMagic...)
	b = le.AppendUint64(b, uint64(len(entries)))
	for _, e := range entries {
		b = appendIndexEntry(b, e)
	}
	b = vectortest.Seal(b, p.editIndex)
	if p.sealedIndex != nil {
		b = p.sealedIndex(b)
	}
	return b
}

// bytes puts the patch together.
func (p *rawPatch) bytes(t testing.TB) []byte {
	t.Helper()
	b := p.headerFrame(t)
	var at places
	var entries []IndexEntry
	var end trailer
	for _, s := range p.segments {
		b = append(b, s.between...)
		at.segments = append(at.segments, len(b))
		entries = append(entries, s.entry(len(b)))
		end.Add(s.records)
		b = append(b, s.bytes()...)
	}
	at.index = len(b)
	b = append(b, p.indexFrame(entries)...)
	at.trailer = len(b)
	end.index, end.patchSum = int64(at.index), xxhash.Sum64(b)
	if p.editEnd != nil {
		p.editEnd(&end)
	}
	last := end.marshal()
	b = append(b, vectortest.Seal(last[:len(last)-frame.SumSize], p.editTrailer)...)
	at.end = len(b)
	if p.whole != nil {
		b = p.whole(slices.Clip(b), at)
	}
	return b
}
