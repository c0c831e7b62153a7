package format

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
)

// Who releases a segment twice doesn't give away what somebody else has got since.
func TestReleaseTwice(t *testing.T) {
	patch := manySegments(t, 64)
	file, err := OpenFile(bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		t.Fatal(err)
	}
	w := startPatch(t, io.Discard)
	defer w.Abort()
	r, err := NewReader(bytes.NewReader(patch), ReaderOptions{Concurrency: 1, Held: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var pool Pool
	segment := 0
	for name, next := range map[string]func() (*Segment, error){
		"Reader": r.Next,
		"File": func() (*Segment, error) {
			segment++
			return file.ReadSegment(segment - 1)
		},
		"Pool": func() (*Segment, error) {
			s := pool.Segment()
			s.Records, s.Data = append(s.Records, Record{}), append(s.Data, 0)
			return s, nil
		},
		"Writer": func() (*Segment, error) {
			s := w.NewSegment()
			s.Records, s.Data = append(s.Records, Record{}), append(s.Data, 0)
			return s, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			var gone []*Segment
			var held *Segment
			for {
				s, err := next()
				if err == io.EOF || len(gone) == 60 {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if held != nil && (s == held || &held.Data[0] == &s.Data[0] ||
					&held.Records[0] == &s.Records[0]) {
					t.Fatal("a segment that is in use was handed out once more")
				}
				for _, old := range gone {
					old.Release() // does nothing, to none of those in use above all
				}
				if held != nil {
					held.Release()
					if held.Records != nil || held.Data != nil {
						t.Error("a segment that was released still has " +
							"what somebody else may have by now")
					}
					gone = append(gone, held)
				}
				held = s
			}
		})
	}
}

// manySegments makes a patch of n segments.
func manySegments(t *testing.T, n int) []byte {
	var all [][]Extent
	for i := range n {
		all = append(all, []Extent{{int64(i) << 20, 4096, Data}})
	}
	return write(t, testHeader(Delta, int64(n)<<20), WriterOptions{}, all...)
}

// What was read stays as it was until its first release, whoever releases twice: for the
// race detector, and for the hashes.
func TestReleaseTwiceConcurrently(t *testing.T) {
	var all [][]Extent
	for i := range 200 {
		all = append(all, []Extent{{int64(i) * 4096, 4096, Data}})
	}
	patch := write(t, testHeader(Delta, 200*4096), WriterOptions{}, all...)
	for range 20 {
		r, err := NewReader(bytes.NewReader(patch), ReaderOptions{Concurrency: 2, Held: 4})
		if err != nil {
			t.Fatal(err)
		}
		var users sync.WaitGroup
		held := make(chan struct{}, 4)
		for i := range all {
			s, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			held <- struct{}{}
			users.Go(func() {
				defer func() { <-held }()
				err := checkHashes(s.Records, s.Data)
				if err != nil || s.Records[0].Off != int64(i)*4096 {
					t.Errorf("segment %d: begins at %d (%v)", i, s.Records[0].Off, err)
				}
				s.Release()
				s.Release()
			})
		}
		users.Wait()
		r.Close()
	}
}

// A segment that was written is gone: it can't be written, or filled, once more.
func TestWriteTwice(t *testing.T) {
	w := startPatch(t, io.Discard)
	s := w.NewSegment()
	s.Records = append(s.Records, Record{Extent: Extent{8192, 512, Zero}})
	if err := w.Write(s); err != nil || s.Records != nil {
		t.Fatalf("%d records, %v", len(s.Records), err)
	}
	s.Records = append(s.Records, Record{Extent: Extent{16384, 512, Zero}})
	if err := w.Write(s); err == nil {
		t.Error("a segment is written twice")
	}
	if err := w.Close(); err == nil {
		t.Error("and the patch ended")
	}
}

// An io.Writer that was interrupted may go on reading what it was given: that memory is
// nobody else's any more.
func TestFailedWriteKeepsItsMemory(t *testing.T) {
	failed := errors.New("interrupted")
	var out bytes.Buffer
	kept := &keepingWriter{Writer: &out}
	w := startPatch(t, kept)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	kept.err = failed
	s := w.NewSegment()
	s.Records = append(s.Records, Record{Extent: Extent{8192, 4096, Data}})
	s.Data = append(s.Data, bytes.Repeat([]byte{7}, 4096)...)
	if err := errors.Join(w.Write(s), w.Flush()); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	want := slices.Clone(kept.last)
	for range 20 {
		s := w.NewSegment()
		s.Records = append(s.Records, Record{Extent: Extent{16384, 4096, Data}})
		s.Data = append(s.Data, make([]byte, 4096)...)
		b := s.body
		for i := range b.frame[:cap(b.frame)] {
			b.frame[:cap(b.frame)][i] = 0 // as compressing would
		}
		s.Release()
	}
	if !bytes.Equal(kept.last, want) {
		t.Error("what a failed Write was given has been overwritten")
	}
	w.Abort()
}

// A keepingWriter keeps what it was given last.
type keepingWriter struct {
	io.Writer
	err  error
	last []byte
}

func (k *keepingWriter) Write(b []byte) (int, error) {
	k.last = b
	if k.err != nil {
		return 0, k.err
	}
	return k.Writer.Write(b)
}
