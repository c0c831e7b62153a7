package cli

import (
	"context"
	"io"
)

// InterruptibleReader returns a reader of r whose Read returns when ctx ends,
// though r may never deliver anything: the other side of a pipe can be silent
// for ever. A Read that was left behind may still take from r and write to its
// buffer: nothing may be read from either afterwards.
func InterruptibleReader(ctx context.Context, r io.Reader) io.Reader {
	return transfer{ctx, r.Read}
}

// InterruptibleWriter returns a writer to w whose Write returns when ctx ends,
// though w may never take anything. A Write that was left behind may still read
// its buffer: nothing may be written to that or to w afterwards.
func InterruptibleWriter(ctx context.Context, w io.Writer) io.Writer {
	return transfer{ctx, w.Write}
}

type transfer struct {
	ctx context.Context
	do  func([]byte) (int, error)
}

func (t transfer) Read(b []byte) (int, error)  { return t.run(b) }
func (t transfer) Write(b []byte) (int, error) { return t.run(b) }

func (t transfer) run(b []byte) (int, error) {
	if err := t.ctx.Err(); err != nil {
		return 0, err
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := t.do(b)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-t.ctx.Done():
		return 0, t.ctx.Err()
	}
}
