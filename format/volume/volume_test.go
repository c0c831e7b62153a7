package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

func data(off, n int64) format.Record {
	return format.Record{Extent: format.Extent{Off: off, Len: n}}
}

func zero(off, n int64) format.Record {
	return format.Record{Extent: format.Extent{Off: off, Len: n, Kind: format.Zero}}
}

// delta makes a patch with a segment for each record.
func delta(t testing.TB, size int64, records ...format.Record) []byte {
	var segments [][]format.Record
	for _, r := range records {
		segments = append(segments, []format.Record{r})
	}
	return patchtest.Write(t, patchtest.Header(format.Delta, size), segments...)
}

func mustOpen(t testing.TB, o Options, patches ...*format.File) *Volume {
	t.Helper()
	var chain []Patch
	for i, f := range patches {
		chain = append(chain, Patch{fmt.Sprintf("patch %d", i), f})
	}
	v, err := Open(chain, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// blank is a base of zeros.
type blank struct{}

func (blank) ReadAt(b []byte, _ int64) (int, error) {
	clear(b)
	return len(b), nil
}

// A watched file counts its reads, by where they begin, and holds them up or fails while it is
// told to.
type watched struct {
	r    io.ReaderAt
	mu   sync.Mutex
	at   map[int64]int
	hold map[int64]chan struct{}
	fail error
}

func (w *watched) ReadAt(b []byte, off int64) (int, error) {
	w.mu.Lock()
	w.at[off]++
	hold, fail := w.hold[off], w.fail
	w.mu.Unlock()
	if fail != nil {
		return 0, fail
	}
	if hold != nil {
		<-hold
	}
	return w.r.ReadAt(b, off)
}

func watch(t testing.TB, patch []byte) (*watched, *format.File) {
	w := &watched{r: bytes.NewReader(patch), at: make(map[int64]int),
		hold: make(map[int64]chan struct{})}
	f, err := format.OpenFile(w, int64(len(patch)))
	if err != nil {
		t.Fatal(err)
	}
	return w, f
}

func TestReaderAt(t *testing.T) {
	v := mustOpen(t, Options{Base: blank{}, BaseSize: 5000},
		patchtest.Open(t, delta(t, 5000, data(512, 1024), zero(4096, 904))))
	want := make([]byte, 5000)
	copy(want[512:], bytes.Repeat([]byte{7}, 1024))
	if err := iotest.TestReader(io.NewSectionReader(v, 0, v.Size()), want); err != nil {
		t.Error(err)
	}
	if n, err := v.ReadAt(make([]byte, 1), -1); n != 0 || err == nil || err == io.EOF {
		t.Errorf("before the start: %d, %v", n, err)
	}
	if n, err := v.ReadAt(make([]byte, 10), 1<<62); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
}

// The largest volume that there can be, read at its end.
func TestLargest(t *testing.T) {
	const size, last = 1<<63 - 1, 1<<63 - 512
	v := mustOpen(t, Options{Base: blank{}, BaseSize: size},
		patchtest.Open(t, delta(t, size, data(0, 512), data(last, 511))))
	b := make([]byte, 1024)
	for range 3 {
		n, err := v.ReadAt(b, last-512)
		if n != 1023 || err != io.EOF || b[511] != 0 || b[512] != 7 || b[1022] != 7 {
			t.Errorf("%d, %v", n, err)
		}
	}
	v.running.Wait()
	if e := v.Extent(last); e.Len != 511 || v.Extent(512).End() != last {
		t.Errorf("%v behind %v", e, v.Extent(512))
	}
}

func TestOpenRefuses(t *testing.T) {
	full := patchtest.Open(t, patchtest.Write(t, patchtest.Header(format.Full, 512),
		[]format.Record{data(0, 512)}))
	change := patchtest.Open(t, delta(t, 512, data(0, 512)))
	h := patchtest.Header(format.Delta, 1024)
	h.Start = 512
	rest := patchtest.Open(t, patchtest.Write(t, h))
	for want, test := range map[string]struct {
		files   []*format.File
		options Options
	}{
		"no patches":               {},
		"not a full patch":         {files: []*format.File{change}},
		"nothing is beneath it":    {[]*format.File{full}, Options{Base: blank{}, BaseSize: 512}},
		"needs none before it":     {files: []*format.File{full, full}},
		"rest of an interrupted":   {files: []*format.File{full, rest}},
		"a cache of -1 bytes":      {[]*format.File{full}, Options{Cache: -1}},
		"a base of -1 bytes":       {[]*format.File{change}, Options{Base: blank{}, BaseSize: -1}},
		"starts from is needed":    {files: []*format.File{change, full}},
		"patch 1 is a full patch,": {[]*format.File{change, full}, Options{Base: blank{}}},
	} {
		var chain []Patch
		for i, f := range test.files {
			chain = append(chain, Patch{fmt.Sprintf("patch %d", i), f})
		}
		if _, err := Open(chain, test.options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// What was cut off does not come back, of a patch nor of what is beneath.
func TestCutOff(t *testing.T) {
	const size, cut = 64 << 10, 20 << 10
	v := mustOpen(t, Options{Base: sevens{}, BaseSize: 2 * size},
		patchtest.Open(t, delta(t, size, data(4096, size-4096))),
		patchtest.Open(t, delta(t, cut)), patchtest.Open(t, delta(t, 2*size)))
	got, want := make([]byte, 2*size), make([]byte, 2*size)
	copy(want, bytes.Repeat([]byte{7}, cut))
	if _, err := v.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, or other bytes", err)
	}
	for off, want := range map[int64]format.Extent{
		0: data(0, 4096).Extent, 8192: data(8192, cut-8192).Extent, cut: zero(cut, 2*size-cut).Extent} {
		if e := v.Extent(off); e != want {
			t.Errorf("%v, want %v", e, want)
		}
	}
}

// sevens is a base.
type sevens struct{}

func (sevens) ReadAt(b []byte, _ int64) (int, error) {
	copy(b, bytes.Repeat([]byte{7}, len(b)))
	return len(b), nil
}

// What is beneath may be too short, or fail: an error where it is read, and nowhere else.
func TestFailingBase(t *testing.T) {
	short := bytes.NewReader(make([]byte, 1024))
	v := mustOpen(t, Options{Base: short, BaseSize: 4096},
		patchtest.Open(t, delta(t, 4096, data(2048, 512))))
	b := make([]byte, 512)
	for off, want := range map[int64]error{512: nil, 1024: io.ErrUnexpectedEOF, 2048: nil} {
		if n, err := v.ReadAt(b, off); !errors.Is(err, want) || (err == nil) != (n == len(b)) {
			t.Errorf("at %d: %d, %v", off, n, err)
		}
	}
}
