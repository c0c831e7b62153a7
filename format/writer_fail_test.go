package format

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// A failingWriter takes so many bytes, then fails; without an error it takes
// less than it's given.
type failingWriter struct {
	bytes.Buffer
	room int
	err  error
}

func (w *failingWriter) Write(b []byte) (int, error) {
	n := min(len(b), w.room)
	w.room -= n
	w.Buffer.Write(b[:n])
	if n < len(b) {
		return n, w.err
	}
	return n, nil
}

func TestWriterOutputFails(t *testing.T) {
	whole := len(smallPatch(t, 0))
	for _, failure := range []error{errTape, nil} {
		want := failure
		if failure == nil {
			want = io.ErrShortWrite
		}
		for room := whole - 1; room >= 0; room -= 7 {
			out := &failingWriter{room: room, err: failure}
			w, err := NewWriter(out, testHeader(Delta, 64<<10), WriterOptions{Concurrency: 2})
			if err == nil {
				err = writeSmall(w)
			}
			if !errors.Is(err, want) {
				t.Fatalf("room for %d of %d bytes: %v", room, whole, err)
			}
			if _, err := readStream(&out.Buffer); err == nil {
				t.Fatalf("room for %d of %d bytes: a whole patch", room, whole)
			}
		}
	}
}

// writeSmall writes the segments of smallPatch.
func writeSmall(w *Writer) error {
	rnd := rand.NewChaCha8([32]byte{1})
	for _, e := range [][]Extent{{{0, 512, Data}, {1024, 1024, Zero}}, {{4096, 512, Data}}} {
		s := w.NewSegment()
		fill(s, rnd, e)
		if err := w.Write(s); err != nil {
			if err2 := w.Close(); !errors.Is(err2, err) {
				return errors.Join(errors.New("the error does not stick"), err2)
			}
			return err
		}
	}
	return w.Close()
}

// After the output has failed, neither NewSegment nor Write nor Close waits for
// ever: the bubble of synctest would see it. No goroutine is left either.
func TestWriterNeverHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &failingWriter{room: 300, err: errTape}
		w, err := NewWriter(out, testHeader(Delta, 1<<20), WriterOptions{Concurrency: 2})
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(100) {
			s := w.NewSegment()
			extents(Extent{i * 4096, 4096, Data})(s)
			w.Write(s)
		}
		checkDead(t, w, &out.Buffer, errTape)
	})
}

// A onceFailingWriter fails once and then works, as a disk does that was full for a moment.
type onceFailingWriter struct {
	at, calls int
}

func (w *onceFailingWriter) Write(b []byte) (int, error) {
	w.calls++
	if w.calls == w.at {
		return 0, errTape
	}
	return len(b), nil
}

// After an error nothing more is written: behind a gap, it would be worth nothing.
func TestWriterFailsOnce(t *testing.T) {
	for at := 2; at <= 4; at++ { // the first is the header
		out := &onceFailingWriter{at: at}
		w, err := NewWriter(out, testHeader(Delta, 1<<20), WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(8) {
			s := w.NewSegment()
			s.Records = append(s.Records, Record{Extent: Extent{Off: i * 4096, Len: 512}})
			s.Data = append(s.Data, make([]byte, 512)...)
			if w.Write(s) != nil {
				break
			}
		}
		if err := w.Close(); !errors.Is(err, errTape) || out.calls != at {
			t.Errorf("failure %d: %d calls (%v)", at, out.calls, err)
		}
	}
}
