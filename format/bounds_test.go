package format

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/vectortest"
)

// TestHostileSizes gives sizes that a reader must not believe. What it allocates
// for them is bounded by the limits of the format, mostly by much less.
func TestHostileSizes(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	at := func(p func(places) int, edit func([]byte) []byte) func(*rawPatch) {
		return func(raw *rawPatch) {
			raw.whole = func(b []byte, pl places) []byte { edit(b[p(pl):]); return b }
		}
	}
	tests := map[string]struct {
		edit func(*rawPatch)
		max  uint64
	}{
		"nothing hostile":    {func(*rawPatch) {}, 1 * mib},
		"header frame 4 GiB": {at(atStart, vectortest.Put32(4, 1<<32-1)), 600 * kib},
		"header JSON 4 GiB":  {at(atStart, vectortest.Put32(20, 1<<32-1)), 600 * kib},
		"segment 4 GiB": {func(p *rawPatch) {
			p.segments[0].frame = rawFrame(3<<6|1<<5|1<<2,
				0, 0, 0, 0, 1, 0, 0, 0)
		}, 1 * mib},
		"segment 4.3 MiB": {frameEdit(vectortest.Put32(5, frame.MaxContent)), 6 * mib},
		"zstd block 2 MiB": {frameEdit(func(b []byte) []byte {
			b[9], b[10], b[11] = 0xf9, 0xff,
				0xff
			return b
		}), 1 * mib},
		"window 8 MiB": {func(p *rawPatch) {
			p.segments[0].frame = rawFrame(2<<6|1<<2,
				13<<3, 0x80, 4, 0, 0)
		}, 1 * mib},
		"table of 2^32-1":      {contentEdit(vectortest.Put32(0, 1<<32-1)), 1 * mib},
		"extent of 2^63-1":     {contentEdit(vectortest.Put64(16, 1<<63-1)), 1 * mib},
		"index of 178 million": {func(p *rawPatch) { p.editIndex = hugeIndex }, 1 * mib},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := deltaPatch()
			test.edit(p)
			patch := p.bytes(t)
			stream := vectortest.Allocated(func() { readStream(bytes.NewReader(patch)) })
			file := vectortest.Allocated(func() { readFile(patch) })
			if stream > test.max || file > test.max {
				t.Errorf("Reader allocated %d KiB, File %d KiB, limit %d",
					stream/kib, file/kib, test.max/kib)
			}
		})
	}
}

// hugeIndex makes the index claim as many entries as its frame could hold.
func hugeIndex(b []byte) []byte {
	const count = (maxSkippableSize - indexFixedSize - frame.SumSize) / indexEntrySize
	return vectortest.Put32(4,
		indexFixedSize+count*indexEntrySize+frame.SumSize)(vectortest.Put64(16, count)(b))
}

// TestFrameTooLarge: a frame of empty blocks could go on for ever, and its
// content still be small.
func TestFrameTooLarge(t *testing.T) {
	head := append(le.AppendUint32(nil, frame.Zstd), 2<<6|1<<5|1<<2, 0x80, 4, 0, 0)
	endless := io.MultiReader(bytes.NewReader(head), blocks{})
	f, err := frame.Read(bufio.NewReader(endless), nil)
	if err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("got %v", err)
	}
	if len(f.Bytes) > frame.MaxSize || cap(f.Bytes) > frame.MaxSize {
		t.Errorf("read %d bytes into a buffer of %d", len(f.Bytes), cap(f.Bytes))
	}
}

// blocks is an endless stream of empty blocks, none the last.
type blocks struct{}

func (blocks) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestIndexEntryBounds: sums of the places and ranges of an entry may wrap.
func TestIndexEntryBounds(t *testing.T) {
	order := extentOrder{volumeSize: 1 << 20}
	for name, e := range map[string]IndexEntry{
		"place before the header": {Offset: 99, Start: 0, End: 512},
		"negative place":          {Offset: -1, Start: 0, End: 512},
		"place in the index":      {Offset: 200, Start: 0, End: 512},
		"empty":                   {Offset: 100, Start: 512, End: 512},
		"backwards":               {Offset: 100, Start: 1024, End: 512},
		"end wraps":               {Offset: 100, Start: 1<<63 - 512, End: -1 << 63},
		"length wraps":            {Offset: 100, Start: -1 << 63, End: 1<<63 - 512},
		"negative start":          {Offset: 100, Start: -512, End: 512},
		"past the end":            {Offset: 100, Start: 1 << 20, End: 1<<20 + 512},
	} {
		check := &indexCheck{begin: 100, end: 200, order: order}
		if err := check.add(e); err == nil {
			t.Errorf("%s: %+v is accepted", name, e)
		}
	}
	check := &indexCheck{begin: 100, end: 200, order: order}
	if err := errors.Join(check.checkCount(7), check.add(IndexEntry{100, 0, 512}),
		check.add(IndexEntry{114, 512, 1024}),
		check.add(IndexEntry{186, 1024, 1 << 20})); err != nil {
		t.Error(err)
	}
	for _, e := range []IndexEntry{{199, 1 << 19, 1 << 20}, {187, 1 << 19, 1 << 20},
		{113, 1 << 19, 1 << 20}} {
		check := &indexCheck{begin: 100, end: 200, order: order}
		if err := check.add(IndexEntry{100, 0, 512}); err != nil || check.add(e) == nil {
			t.Errorf("%+v is accepted behind a segment at byte 100 (%v)", e, err)
		}
	}
	for _, count := range []int64{0, 8, 60_000_000} {
		if err := check.checkCount(count); err == nil {
			t.Errorf("%d segments in 100 bytes are accepted", count)
		}
	}
}

// Messages quote what the patch says, but not at any length.
func TestMessagesAreShort(t *testing.T) {
	long := strings.Repeat("long\n", 10_000)
	for _, edit := range []func(*rawPatch){
		func(p *rawPatch) { p.header.Kind = Kind(long) },
		func(p *rawPatch) { p.header.RequiredFeatures = []string{long} },
	} {
		p := deltaPatch()
		edit(p)
		_, err := readStream(bytes.NewReader(p.bytes(t)))
		if err == nil || len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
			t.Errorf("message: %v", err)
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFeature) {
			t.Errorf("error: %v", err)
		}
	}
}
