package format

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
)

// A readerAtFunc is an io.ReaderAt.
type readerAtFunc func(b []byte, off int64) (int, error)

func (f readerAtFunc) ReadAt(b []byte, off int64) (int, error) { return f(b, off) }

// openAll opens the patch and reads all segments.
func openAll(r io.ReaderAt, size int) error {
	f, err := OpenFile(r, int64(size))
	if err != nil {
		return err
	}
	for i := range f.Index() {
		if _, err := f.ReadSegment(i); err != nil {
			return err
		}
	}
	return nil
}

func TestFileInputError(t *testing.T) {
	patch := smallPatch(t, 1)
	for n := range patch {
		bad := readerAtFunc(func(b []byte, off int64) (int, error) { // a bad sector at n
			if off <= int64(n) && int64(n) < off+int64(len(b)) {
				return copy(b, patch[off:n]), errTape
			}
			return copy(b, patch[off:]), nil
		})
		if err := openAll(bad, len(patch)); !errors.Is(err, errTape) || errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d can't be read: %v", n, err)
		}
	}
}

// A file that has become smaller since its size was asked for.
func TestFileShorterThanSize(t *testing.T) {
	patch := smallPatch(t, 1)
	for n := range patch {
		err := openAll(bytes.NewReader(patch[:n]), len(patch))
		if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			t.Fatalf("%d of %d bytes: %v", n, len(patch), err)
		}
	}
}

// An io.ReaderAt may return io.EOF with the last bytes.
func TestFileEOFWithData(t *testing.T) {
	patch := smallPatch(t, 0)
	r := readerAtFunc(func(b []byte, off int64) (int, error) {
		n := copy(b, patch[off:])
		if off+int64(n) == int64(len(patch)) {
			return n, io.EOF
		}
		return n, nil
	})
	if err := openAll(r, len(patch)); err != nil {
		t.Error(err)
	}
}

func TestFileConcurrently(t *testing.T) {
	var segments [][]Extent
	for i := range int64(20) {
		segments = append(segments, []Extent{{i * 4096, 4096, Data}})
	}
	patch := write(t, testHeader(Delta, 1<<20), WriterOptions{Level: 1}, segments...)
	f, err := OpenFile(bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range segments {
		wg.Go(func() {
			s, err := f.ReadSegment(i)
			if err != nil || s.Records[0].Extent != segments[i][0] {
				t.Errorf("segment %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}
