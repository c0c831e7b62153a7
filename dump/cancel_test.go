package dump

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A stuckWriter takes some bytes, then blocks until its context ends.
type stuckWriter struct {
	limitedWriter
	ctx context.Context
}

func (w *stuckWriter) Write(b []byte) (int, error) {
	n, err := w.limitedWriter.Write(b)
	if err != nil {
		<-w.ctx.Done()
		err = w.ctx.Err()
	}
	return n, err
}

// When nobody takes the patch, everything waits, and an end of the context ends
// the run.
func TestCancelWhileWriterBlocks(t *testing.T) {
	for _, room := range []int{0, 1000, 3 * mib} {
		onProcs(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			src, _ := endless()
			w := &stuckWriter{limitedWriter{left: room, err: errTest}, ctx}
			go func() {
				synctest.Wait() // until all the others wait
				cancel()
			}()
			if _, err := Run(ctx, big(src), w, Options{}); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
			if room > 0 {
				checkTorn(t, w.Bytes())
			}
		})
	}
}

// A read that hangs until the context ends.
func TestCancelWhileSourceBlocks(t *testing.T) {
	onProcs(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		src := &fakeSource{volume: make([]byte, 8*mib), extents: data(0, 8*mib)}
		src.readAt = func(p []byte, off int64) (int, error) {
			if off == 2*batchData {
				<-ctx.Done()
			}
			return len(p), nil
		}
		var patch bytes.Buffer
		if _, err := Run(ctx, src.source(), &patch, Options{}); !errors.Is(err,
			context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		checkTorn(t, patch.Bytes())
	})
}

func TestCancelInTheMiddle(t *testing.T) {
	places := map[string]func(src *fakeSource, o *Options, cancel func()){
		"before": func(_ *fakeSource, _ *Options, cancel func()) { cancel() },
		"progress": func(_ *fakeSource, o *Options, cancel func()) {
			o.Progress = func(int64) { cancel() }
		},
		"read": func(src *fakeSource, _ *Options, cancel func()) {
			volume := src.volume
			src.readAt = func(p []byte, off int64) (int, error) {
				if off == 2*batchData {
					cancel()
				}
				return copy(p, volume[off:]), nil
			}
		},
		"check": func(src *fakeSource, _ *Options, cancel func()) {
			src.check = func(context.Context) error { cancel(); return nil }
		},
	}
	for name, arrange := range places {
		t.Run(name, func(t *testing.T) {
			onProcs(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				src := &fakeSource{volume: make([]byte, 8*mib), extents: data(0, 8*mib)}
				var o Options
				arrange(src, &o, cancel)
				var patch bytes.Buffer
				if _, err := Run(ctx, src.source(), &patch, o); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want %v", err, context.Canceled)
				}
				checkTorn(t, patch.Bytes())
			})
		})
	}
}
