package cli

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A limited writer writes everything, in the time that it takes at that rate.
func TestLimitWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := LimitWriter(t.Context(), &out, 100<<10)
		content := bytes.Repeat([]byte("lvmsync "), 1<<17)
		start := time.Now()
		for part := content; len(part) > 0; part = part[min(len(part), 300000):] {
			if n, err := w.Write(part[:min(len(part), 300000)]); n != min(len(part), 300000) ||
				err != nil {
				t.Fatal(n, err)
			}
		}
		took := time.Since(start).Seconds() // 10.24 s at that rate, but for the first burst
		if took < 9 || took > 11 {
			t.Errorf("1 MiB at 100 KiB/s took %v s", took)
		}
		if !bytes.Equal(out.Bytes(), content) {
			t.Error("something else was written")
		}
	})
}

// The end of the context ends the waiting.
func TestLimitWriterStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var out bytes.Buffer
		n, err := LimitWriter(ctx, &out, 10).Write(make([]byte, 1000))
		if err == nil || n != out.Len() || n >= 1000 {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// An error of what is written to is handed on.
func TestLimitWriterFails(t *testing.T) {
	broken := errors.New("broken")
	if n, err := LimitWriter(t.Context(), failingWriter{broken},
		1<<20).Write(make([]byte, 10)); n != 0 || !errors.Is(err, broken) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }
