package volume

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"

	"lvmsync/format"
)

// A counter counts how many bytes are read.
type counter struct {
	io.ReaderAt
	n *atomic.Int64
}

func (c counter) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(b, off)
	c.n.Add(int64(n))
	return n, err
}

// Who reads a chain from its beginning to its end has each patch read about once, though the cache
// is much smaller: the segments of deltas, which are needed all the way, outlast those of the full
// patch that are passed.
func TestSequentialReadsOnce(t *testing.T) {
	var read atomic.Int64
	var chain []Patch
	all := int64(0)
	for _, b := range benchChain(t, 10) {
		f, err := format.OpenFile(counter{bytes.NewReader(b), &read}, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, Patch{"patch", f})
		all += int64(len(b))
	}
	v, err := Open(chain, Options{Cache: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	read.Store(0)
	buf := make([]byte, 128<<10)
	if _, err := io.CopyBuffer(onlyWriter{}, io.NewSectionReader(v, 0, v.Size()), buf); err != nil {
		t.Fatal(err)
	}
	if n := read.Load(); n < all*9/10 || n > all*23/20 {
		t.Errorf("%d bytes read of patches of %d", n, all)
	}
}
