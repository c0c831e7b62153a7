package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

func TestInterruptibleHandsThrough(t *testing.T) {
	ctx := t.Context()
	text := strings.Repeat("lvmsync ", 1000)
	if err := iotest.TestReader(InterruptibleReader(ctx, strings.NewReader(text)),
		[]byte(text)); err != nil {
		t.Error(err)
	}
	var buf bytes.Buffer
	if n, err := io.WriteString(InterruptibleWriter(ctx, &buf), text); n != len(text) ||
		err != nil || buf.String() != text {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	if n, err := InterruptibleReader(ctx,
		iotest.ErrReader(errTest)).Read(make([]byte, 1)); n != 0 || err != errTest {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// The other side of a pipe neither reads nor writes.
func TestInterruptibleReturns(t *testing.T) {
	for name, transfer := range map[string]func(context.Context) (int, error){
		"reader": func(ctx context.Context) (int, error) {
			r, _ := io.Pipe()
			return InterruptibleReader(ctx, r).Read(make([]byte, 1))
		},
		"writer": func(ctx context.Context) (int, error) {
			_, w := io.Pipe()
			return InterruptibleWriter(ctx, w).Write(make([]byte, 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			if n, err := transfer(ctx); n != 0 || !errors.Is(err, context.Canceled) {
				t.Errorf("got %d, %v", n, err)
			}
		})
	}
}

// Nothing is read or written once the context has ended.
func TestInterruptibleAfterEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		in, out := strings.NewReader("x"), new(bytes.Buffer)
		_, readErr := InterruptibleReader(ctx, in).Read(make([]byte, 1))
		_, writeErr := InterruptibleWriter(ctx, out).Write([]byte("x"))
		synctest.Wait() // for what may have been left behind
		if !errors.Is(readErr, context.Canceled) || in.Len() != 1 {
			t.Errorf("reader: %v, %d bytes left", readErr, in.Len())
		}
		if !errors.Is(writeErr, context.Canceled) || out.Len() != 0 {
			t.Errorf("writer: %v, %d bytes written", writeErr, out.Len())
		}
	})
}
