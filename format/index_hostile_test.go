package format

import (
	"io"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/vectortest"
)

// A sparse is a file of some bytes here and there, and zeros between them.
type sparse struct {
	pieces map[int64][]byte
	size   int64
}

func (s sparse) ReadAt(b []byte, off int64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), s.size-off))
	clear(b[:n])
	for at, piece := range s.pieces {
		if at < off+int64(n) && at+int64(len(piece)) > off {
			copy(b[max(0, at-off):n], piece[max(0, off-at):])
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// sparsePatch has an index of many entries, all but the first few of which are a hole,
// behind room for segments, which is one, too.
func sparsePatch(t *testing.T, room, count int64, first ...IndexEntry) sparse {
	p := deltaPatch()
	p.header.VolumeSize = 1 << 50
	p.segments = nil
	head := p.headerFrame(t)
	index := int64(len(head)) + room
	b := append(frame.AppendHeader(nil, uint32(indexFrameSize(count)-frame.HeaderSize)),
		indexMagic...)
	b = le.AppendUint64(b, uint64(count))
	for _, e := range first {
		e.Offset += int64(len(head))
		b = appendIndexEntry(b, e)
	}
	end := index + indexFrameSize(count)
	last := trailer{Totals: Totals{Segments: count}, index: index, patchSum: xxhash.Sum64(head)}
	return sparse{map[int64][]byte{0: head, index: b, end: last.marshal()},
		end + frame.PatchEndSize}
}

// What an index costs is bounded by the segments that there are, whatever it claims.
func TestHostileIndex(t *testing.T) {
	const count, mib = 2 << 20, 1 << 20
	for name, test := range map[string]struct {
		patch sparse
		want  string // of reading at random
	}{
		"no room for segments": {sparsePatch(t, 0, count),
			"2097152 entries for the segments in 0 bytes"},
		"less room than needed": {sparsePatch(t, frame.MinSize*count-1, count),
			"2097152 entries for the segments in"},
		"entries that are zeros": {sparsePatch(t, frame.MinSize*count, count),
			"entry 0 places a segment at byte 0"},
		"one right entry": {sparsePatch(t, frame.MinSize*count, count,
			IndexEntry{0, 0, 512}), "entry 1 places"},
		"two right entries": {sparsePatch(t, frame.MinSize*count, count, IndexEntry{0, 0, 512},
			IndexEntry{frame.MinSize, 512, 1024}),
			"entry 2 places"},
	} {
		t.Run(name, func(t *testing.T) {
			var err, streamErr error
			var counted countReader
			n := vectortest.Allocated(func() { _, err = OpenFile(test.patch, test.patch.size) })
			m := vectortest.Allocated(func() {
				counted.r = io.NewSectionReader(test.patch, 0, test.patch.size)
				_, streamErr = readStream(&counted)
			})
			if verdict(err) != "corrupt index" || !strings.Contains(err.Error(), test.want) {
				t.Errorf("File: %v", err)
			}
			if v := verdict(streamErr); v != "corrupt index" && v != "corrupt segment" {
				t.Errorf("Reader: %v", streamErr)
			}
			if n > mib || m > 2*mib || counted.n > mib {
				t.Errorf("a File takes %d KiB, a Reader %d KiB and %d KiB of input",
					n>>10, m>>10, counted.n>>10)
			}
		})
	}
}

type countReader struct {
	r io.Reader
	n int64
}

func (c *countReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
