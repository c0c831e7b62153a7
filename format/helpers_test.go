package format

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"lvmsync/format/internal/vectortest"
)

// testHeader is a valid header with nothing in it that changes.
func testHeader(kind Kind, volumeSize int64) Header {
	return Header{
		ID:          uuid.MustParse("0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a"),
		Kind:        kind,
		Created:     time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Tool:        "lvmsync-dump",
		ToolVersion: "0",
		Host:        "example",
		Source:      Source{Type: "device", Path: "/dev/vg/lv"},
		VolumeSize:  volumeSize,
		Granularity: 4096,
	}
}

// fill puts extents into a segment. The first half of each one's data is
// random, the second half zeros.
func fill(s *Segment, rnd *rand.ChaCha8, extents []Extent) {
	for _, e := range extents {
		s.Records = append(s.Records, Record{Extent: e})
		if e.Kind == Data {
			n := len(s.Data)
			s.Data = s.Data[:n+int(e.Len)]
			rnd.Read(s.Data[n : n+int(e.Len)/2])
			clear(s.Data[n+int(e.Len)/2:])
		}
	}
}

// write makes a patch with one segment for each list of extents. The data are
// the same every time.
func write(t testing.TB, h Header, o WriterOptions, segments ...[]Extent) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, h, o)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.NewChaCha8([32]byte{1})
	for _, extents := range segments {
		s := w.NewSegment()
		fill(s, rnd, extents)
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.PatchBytes() != int64(out.Len()) {
		t.Errorf("PatchBytes = %d, wrote %d", w.PatchBytes(), out.Len())
	}
	return out.Bytes()
}

// smallPatch is a patch of two segments, about 2 KiB when stored.
func smallPatch(t testing.TB, level int) []byte {
	return write(t, testHeader(Delta, 64<<10), WriterOptions{Level: level},
		[]Extent{{0, 512, Data}, {1024, 1024, Zero}}, []Extent{{4096, 512, Data}})
}

// content is all that a patch holds.
type content struct {
	Header  Header
	Records []Record
	Data    []byte
	Totals  Totals
}

// equal is quicker than cmp.Equal by far.
func (c *content) equal(d *content) bool {
	return cmp.Equal(c.Header, d.Header) && c.Totals == d.Totals &&
		slices.Equal(c.Records, d.Records) && bytes.Equal(c.Data, d.Data)
}

func (c *content) add(s *Segment) {
	for r, data := range s.All() {
		c.Records = append(c.Records, r)
		c.Data = append(c.Data, data...)
	}
}

// readStream reads a patch with a Reader. What was read before an error comes
// back with it.
func readStream(r io.Reader) (*content, error) {
	pr, err := NewReader(r, ReaderOptions{Concurrency: 2})
	if err != nil {
		return nil, err
	}
	defer pr.Close()
	c := &content{Header: pr.Header()}
	for {
		s, err := pr.Next()
		if err == io.EOF {
			c.Totals = pr.Totals()
			return c, nil
		}
		if err != nil {
			return c, err
		}
		c.add(s)
		s.Release()
	}
}

// readFile reads a patch with a File.
func readFile(b []byte) (*content, error) {
	f, err := OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	c := &content{Header: f.Header(), Totals: f.Totals()}
	for i := range f.Index() {
		s, err := f.ReadSegment(i)
		if err != nil {
			return c, err
		}
		c.add(s)
	}
	return c, nil
}

// verdict is the name that docs/format.md gives to the outcome of reading.
func verdict(err error) string {
	var c *CorruptError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrNotPatch):
		return "not a patch"
	case errors.Is(err, ErrVersion):
		return "unsupported version"
	case errors.Is(err, ErrFeature):
		return "unsupported feature"
	case errors.Is(err, ErrTruncated):
		return "truncated"
	case errors.As(err, &c) && errors.Is(err, ErrCorrupt):
		return "corrupt " + c.Part
	}
	return "no verdict: " + err.Error()
}

// golden returns the content of every file that the pattern matches, for seeds.
func golden(t testing.TB, pattern string) [][]byte {
	t.Helper()
	var all [][]byte
	for _, name := range vectortest.Glob(t, pattern) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}
