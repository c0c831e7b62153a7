package format

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

var errTape = errors.New("tape is torn")

func TestReaderInputs(t *testing.T) {
	patch := smallPatch(t, 1)
	want, err := readStream(bytes.NewReader(patch))
	if err != nil {
		t.Fatal(err)
	}
	for name, input := range map[string]io.Reader{
		"one byte at a time":  iotest.OneByteReader(bytes.NewReader(patch)),
		"half of what is due": iotest.HalfReader(bytes.NewReader(patch)),
		"EOF with the data":   iotest.DataErrReader(bytes.NewReader(patch)),
	} {
		got, err := readStream(input)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// A failing input is no corrupt patch, wherever it fails, and its error comes
// back.
func TestReaderInputError(t *testing.T) {
	patch := smallPatch(t, 1)
	for _, failure := range []error{errTape, io.ErrUnexpectedEOF, io.ErrClosedPipe} {
		for n := 0; n <= len(patch); n++ {
			_, err := readStream(io.MultiReader(bytes.NewReader(patch[:n]),
				iotest.ErrReader(failure)))
			if !errors.Is(err, failure) || errors.Is(err, ErrCorrupt) ||
				errors.Is(err, ErrNotPatch) {
				t.Fatalf("%v after %d of %d bytes: got %v", failure, n, len(patch), err)
			}
		}
	}
	_, err := readStream(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(patch))))
	if !errors.Is(err, iotest.ErrTimeout) || errors.Is(err, ErrCorrupt) {
		t.Errorf("timeout: got %v", err)
	}
}

func TestReaderErrorSticks(t *testing.T) {
	patch := smallPatch(t, 0)
	r, err := NewReader(bytes.NewReader(patch[:len(patch)-1]), ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		s.Release()
		s.Release() // does nothing
	}
	for range 3 {
		if s, err := r.Next(); s != nil || !errors.Is(err, ErrTruncated) {
			t.Fatalf("segment %v, error %v", s, err)
		}
	}
}

func TestReaderEnd(t *testing.T) {
	r, err := NewReader(bytes.NewReader(write(t, testHeader(Delta, 512), WriterOptions{})),
		ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if s, err := r.Next(); s != nil || err != io.EOF {
			t.Fatalf("segment %v, error %v", s, err)
		}
	}
	r.Close()
	r.Close()
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after Close: %v", err)
	}
}

// The bubble of synctest fails if a goroutine is left when the test ends, or if
// all of them wait for each other.
func TestReaderClose(t *testing.T) {
	var segments [][]Extent
	for i := range int64(50) {
		segments = append(segments, []Extent{{i * 4096, 4096, Data}})
	}
	patch := write(t, testHeader(Delta, 1<<20), WriterOptions{}, segments...)
	tests := map[string]struct {
		read, hold int // segments to read, and how many of them to hold
		release    bool
		patch      []byte
	}{
		"at once":           {0, 0, false, patch},
		"in the middle":     {10, 0, false, patch},
		"holding some":      {4, 4, true, patch},
		"releasing no more": {4, 4, false, patch},
		"at the end":        {50, 0, false, patch},
		"corrupt":           {0, 0, false, patch[:len(patch)/2]},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, err := NewReader(bytes.NewReader(test.patch),
					ReaderOptions{Concurrency: 2, Held: test.hold})
				if err != nil {
					t.Fatal(err)
				}
				var held []*Segment
				for range test.read {
					s, err := r.Next()
					if err != nil {
						t.Fatal(err)
					}
					if len(held) < test.hold {
						held = append(held, s)
					} else {
						s.Release()
					}
				}
				synctest.Wait() // until the Reader waits for segments to be released
				r.Close()
				for _, s := range held {
					if test.release {
						s.Release()
					}
				}
				if _, err := r.Next(); err == nil {
					t.Error("Next works after Close")
				}
			})
		})
	}
}

func TestReaderHeldSegmentsStay(t *testing.T) {
	patch := write(t, testHeader(Delta, 1<<20), WriterOptions{},
		[]Extent{{0, 512, Data}}, []Extent{{512, 512, Data}}, []Extent{{1024, 512,
			Data}}, []Extent{{1536, 512, Data}})
	r, err := NewReader(bytes.NewReader(patch), ReaderOptions{Concurrency: 2, Held: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []*Segment
	for {
		s, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	for i, s := range all {
		if s.Records[0].Off != int64(i)*512 {
			t.Errorf("segment %d begins at %d", i, s.Records[0].Off)
		}
		if err := checkHashes(s.Records, s.Data); err != nil {
			t.Errorf("segment %d: %v", i, err)
		}
	}
}
