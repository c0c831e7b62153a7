package cli

import (
	"context"
	"io"

	"golang.org/x/time/rate"
)

// limitStep is how much is written at a time, in bytes, so that a slow line is used evenly.
const limitStep = 64 << 10

// LimitWriter returns a writer to w that takes bytesPerSecond at the most, on average over a
// second. It stops waiting when ctx ends.
func LimitWriter(ctx context.Context, w io.Writer, bytesPerSecond int64) io.Writer {
	burst := int(min(limitStep, bytesPerSecond))
	return &limitedWriter{ctx, w, rate.NewLimiter(rate.Limit(bytesPerSecond), burst)}
}

type limitedWriter struct {
	ctx     context.Context
	w       io.Writer
	limiter *rate.Limiter
}

func (l *limitedWriter) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		n := min(len(b), l.limiter.Burst())
		if err := l.limiter.WaitN(l.ctx, n); err != nil {
			return written, err
		}
		n, err = l.w.Write(b[:n])
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}
