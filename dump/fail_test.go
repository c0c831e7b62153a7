package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"lvmsync/format"
	"lvmsync/format/refine"
)

// onProcs runs a test on one and on four processors, often: each time the
// goroutines may meet in another order. A deadlock, or a goroutine that stays
// behind, makes it fail.
func onProcs(t *testing.T, test func(t *testing.T)) {
	for _, n := range []int{1, 4} {
		setProcs(t, n)
		for range 3 {
			synctest.Test(t, test)
		}
	}
}

// checkTorn checks that what a failed run has left is nothing or a patch that
// readers call truncated.
func checkTorn(t *testing.T, patch []byte) {
	t.Helper()
	if _, _, err := format.Verify(bytes.NewReader(patch)); !errors.Is(err, format.ErrTruncated) {
		t.Errorf("the %d bytes that were written: %v, want %v", len(patch), err,
			format.ErrTruncated)
	}
}

func TestSourceErrors(t *testing.T) {
	const bad = 5*mib + 4096 // a byte that can't be read
	everything := data(0, 8*mib)
	volume := noise(8 * mib)
	reading := func(fail func(p []byte, off int64) (int, error)) func([]byte, int64) (int, error) {
		return func(p []byte, off int64) (int, error) {
			if off <= bad && bad < off+int64(len(p)) {
				return fail(p, off)
			}
			return copy(p, volume[off:]), nil
		}
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	tests := map[string]struct {
		src  *fakeSource
		is   error
		text string
	}{
		"read error": {
			&fakeSource{extents: everything, readAt: reading(func([]byte, int64) (int, error) {
				return 0, errTest
			})}, errTest, "read the bytes [5242880, 6291456): it went wrong"},
		"read error in many extents": {&fakeSource{extents: every(8*kib, 8*kib-512, 8*mib),
			readAt: reading(func([]byte, int64) (int, error) {
				return 0, errTest
			})}, errTest, "read the bytes [5242880, 5250560): it went wrong"},
		"read error after all bytes": {
			&fakeSource{extents: everything, readAt: reading(func(p []byte, _ int64) (int, error) {
				return len(p), errTest
			})}, errTest, "read the bytes [5242880, 6291456): it went wrong"},
		"end of file": {&fakeSource{extents: everything,
			readAt: reading(func(p []byte, off int64) (int, error) {
				return int(bad - off), io.EOF
			})}, io.EOF, "read the bytes [5242880, 6291456): the source has become smaller: EOF"},
		"short read": {&fakeSource{extents: everything,
			readAt: reading(func(p []byte, off int64) (int, error) {
				return int(bad - off), nil
			})}, io.ErrUnexpectedEOF,
			"read the bytes [5242880, 6291456): the source has become smaller: unexpected EOF"},
		"list": {&fakeSource{extents: everything, listErr: errTest},
			errTest, "it went wrong"},
		"list at once": {&fakeSource{listErr: errTest}, errTest, "it went wrong"},
		"check": {&fakeSource{extents: everything, check: func(context.Context) error {
			return fmt.Errorf("vg/snap: %w", ErrIncomplete)
		}}, ErrIncomplete, "vg/snap: the list of changes is incomplete"},
		"check that is cancelled": {
			&fakeSource{extents: everything, check: func(context.Context) error {
				return canceled.Err()
			}}, context.Canceled, "context canceled"},
		"empty extent": {&fakeSource{extents: data(0, 4096, 8192, 0)}, nil,
			"the source has a data extent [8192, 8192)"},
		"negative extent": {&fakeSource{extents: data(0, 4096, 8192, -512)}, nil,
			"the source has a data extent [8192, 7680)"},
		"extents out of order": {&fakeSource{extents: data(8192, 4096, 4096, 4096)}, nil,
			"write a patch: data extent [4096, 8192) overlaps the extent before it or is out of " +
				"order: that one ends at 12288"},
		"extent past the end": {&fakeSource{extents: data(8*mib-4096, 8192)}, io.EOF,
			"read the bytes [8384512, 8392704): the source has become smaller: EOF"},
		"an extent out of line": {&fakeSource{extents: data(100, 512)}, nil,
			"write a patch: data extent [100, 612) is not aligned to 512 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.src.volume = volume
			onProcs(t, func(t *testing.T) {
				var patch bytes.Buffer
				_, err := Run(t.Context(), test.src.source(), &patch, Options{})
				if err == nil || err.Error() != test.text ||
					test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("got error\n%v, want\n%s", err, test.text)
				}
				checkTorn(t, patch.Bytes())
			})
		})
	}
}

// The error that stops the others is the one that counts, though what it stops
// comes earlier in the patch.
func TestFirstErrorCounts(t *testing.T) {
	onProcs(t, func(t *testing.T) {
		failed := make(chan struct{})
		src := &fakeSource{volume: make([]byte, 8*mib), extents: data(0, 8*mib)}
		src.readAt = func(p []byte, off int64) (int, error) {
			switch off {
			case 0:
				<-failed
			case 2 * batchData:
				defer close(failed)
				return 0, errTest
			}
			return len(p), nil
		}
		if _, err := Run(t.Context(), src.source(), io.Discard,
			Options{}); !errors.Is(err, errTest) {
			t.Errorf("got %v, want %v", err, errTest)
		}
	})
}

// A read fails while every segment is waiting for one, and plan for a segment.
func TestReadFailsWhileAllWait(t *testing.T) {
	onProcs(t, func(t *testing.T) {
		src, _ := endless()
		stuck := make(chan struct{})
		src.readAt = func([]byte, int64) (int, error) {
			<-stuck
			return 0, errTest
		}
		go func() {
			synctest.Wait()
			close(stuck)
		}()
		if _, err := Run(t.Context(), big(src), io.Discard, Options{}); !errors.Is(err, errTest) {
			t.Errorf("got %v, want %v", err, errTest)
		}
	})
}

func TestPlanErrors(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	some := data(0, 4096)
	for name, test := range map[string]struct {
		ctx  context.Context
		src  *fakeSource
		want error
	}{
		"list":    {t.Context(), &fakeSource{extents: some, listErr: errTest}, errTest},
		"context": {canceled, &fakeSource{extents: some}, context.Canceled},
		"check": {t.Context(), &fakeSource{extents: some, check: func(context.Context) error {
			return ErrIncomplete
		}}, ErrIncomplete},
	} {
		if _, err := Plan(test.ctx, test.src.source()); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

const endlessSize = 1 << 60

// endless is a source that never ends, in practice, and counts what is read of it.
func endless() (*fakeSource, *atomic.Int64) {
	n := new(atomic.Int64)
	src := &fakeSource{extents: data(0, endlessSize)}
	src.readAt = func(p []byte, _ int64) (int, error) {
		n.Add(int64(len(p)))
		for i := 0; i < len(p); i += refine.BlockSize {
			p[i] = 1
		}
		return len(p), nil
	}
	return src, n
}

// big is a source with a size that its volume has not.
func big(s *fakeSource) Source {
	src := s.source()
	src.Header.VolumeSize = endlessSize
	return src
}

// A limitedWriter fails when it is full, in the middle of a write.
type limitedWriter struct {
	bytes.Buffer
	left int
	err  error
}

func (w *limitedWriter) Write(b []byte) (int, error) {
	n := min(len(b), w.left)
	w.left -= n
	w.Buffer.Write(b[:n])
	if n < len(b) {
		return n, w.err
	}
	return n, nil
}

// A writer that fails stops the reading at once, not when all has been read.
func TestWriterFails(t *testing.T) {
	for _, room := range []int{0, 100, 1000, 3 * mib} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			onProcs(t, func(t *testing.T) {
				src, read := endless()
				w := &limitedWriter{left: room, err: errTest}
				if _, err := Run(t.Context(), big(src), w, Options{}); !errors.Is(err, errTest) ||
					!strings.HasPrefix(err.Error(), "write the patch at byte ") {
					t.Errorf("got %v, want %v", err, errTest)
				}
				if n := read.Load(); n > int64(room)+64*batchData {
					t.Errorf("read %d bytes to write %d", n, room)
				}
				if room > 0 {
					checkTorn(t, w.Bytes())
				}
			})
		})
	}
}

// A writer that fails only at the end of the patch.
func TestWriterFailsAtEnd(t *testing.T) {
	src := runTests["one block"].fake().source()
	onProcs(t, func(t *testing.T) {
		var whole bytes.Buffer
		if _, err := Run(t.Context(), src, &whole, Options{}); err != nil {
			t.Fatal(err)
		}
		for cut := 1; cut < 300; cut += 7 {
			w := &limitedWriter{left: whole.Len() - cut, err: errTest}
			if _, err := Run(t.Context(), src, w, Options{}); !errors.Is(err, errTest) {
				t.Fatalf("%d bytes short: %v, want %v", cut, err, errTest)
			}
			checkTorn(t, w.Bytes())
		}
	})
}
