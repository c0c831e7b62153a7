package cli

import (
	"context"
	"io"
)

// InterruptibleReader returns a reader of r whose Read returns when ctx ends, though r may never
// deliver anything: the other side of a pipe can be silent for ever. A Read that was left behind
// may still take from r and write to its buffer: nothing may be read from either afterwards.
func InterruptibleReader(ctx context.Context, r io.Reader) io.Reader {
	return transfer{ctx, r.Read}
}

// InterruptibleWriter returns a writer to w whose Write returns when ctx ends, though w may never
// take anything. A Write that was left behind may still read its buffer: nothing may be written to
// that or to w afterwards.
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
	return Await(t.ctx, func() (int, error) { return t.do(b) })
}

// Await does what may take for ever, such as to open a pipe that nobody has open on its other side,
// and returns when ctx ends. What was left behind then goes on until the program ends.
func Await[T any](ctx context.Context, do func() (T, error)) (got T, err error) {
	if err := ctx.Err(); err != nil {
		return got, err
	}
	done := make(chan struct{})
	var late T
	var lateErr error
	go func() {
		late, lateErr = do()
		close(done)
	}()
	select {
	case <-done:
		return late, lateErr
	case <-ctx.Done():
		return got, ctx.Err()
	}
}
