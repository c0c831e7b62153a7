package volume

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

// sparseFile writes a patch of a volume of 16 TiB: all of it zeros, or so many segments anywhere,
// each with a few extents.
func sparseFile(t *testing.T, rnd *rand.Rand, segments int) *format.File {
	const size = 16 << 40
	f, err := os.Create(filepath.Join(t.TempDir(), fmt.Sprint("patch", rnd.Int64())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if segments == 0 {
		all := []format.Record{{Extent: format.Extent{Len: size, Kind: format.Zero}}}
		full := patchtest.Write(t, patchtest.Header(format.Full, size), all)
		if _, err := f.Write(full); err != nil {
			t.Fatal(err)
		}
	} else {
		w, err := format.NewWriter(f, patchtest.Header(format.Delta, size), format.WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		part := int64(size) / int64(segments)
		for i := range int64(segments) {
			s := w.NewSegment()
			at := i*part + rnd.Int64N(part/2)/4096*4096
			zeros := format.Record{Extent: format.Extent{Off: at, Len: 1 << 20, Kind: format.Zero}}
			data := format.Record{Extent: format.Extent{Off: at + 2<<20, Len: 4096}}
			s.Records = append(s.Records, zeros, data)
			s.Data = append(s.Data, make([]byte, 4096)...)
			if err := w.Write(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	file, err := format.OpenFile(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// A chain of a hundred patches of a volume of 16 TiB takes no more memory than the cache and the
// indexes, wherever it is read.
func TestMemoryOfManyPatches(t *testing.T) {
	const deltas, segments, limit = 99, 2048, 128 << 20
	before := heap()
	rnd := rand.New(rand.NewPCG(1, 16))
	chain := []Patch{{"full", sparseFile(t, rnd, 0)}}
	for i := range deltas {
		chain = append(chain, Patch{fmt.Sprint("delta ", i), sparseFile(t, rnd, segments)})
	}
	indexes := heap() - before
	v, err := Open(chain, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	most := int64(0)
	b := make([]byte, 4096)
	for i := range 4000 {
		if _, err := v.ReadAt(b, rnd.Int64N(v.Size()/4096)*4096); err != nil {
			t.Fatal(err)
		}
		v.Extent(rnd.Int64N(v.Size()))
		if i%500 == 499 {
			most = max(most, heap()-before)
		}
	}
	t.Logf("%d MiB in use, %d of them for indexes", most>>20, indexes>>20)
	if most > limit {
		t.Errorf("%d MiB are in use, more than %d", most>>20, limit>>20)
	}
}
