package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"lvmsync/format"
)

// readBackBytes and readBackExtents bound what is remembered until it is read back.
const (
	readBackBytes   = 128 << 20
	readBackExtents = 32 << 10
)

// A readBack compares what is on the destination, past the cache, with what was to
// be written there. It does so time and again, for a patch from a pipe can't be
// read once more at the end.
type readBack struct {
	dest   *destination
	warn   func(string)
	expect []format.Record
	bytes  int64
	cached bool // it was told that the cache can't be avoided
}

// add remembers what a segment said.
func (r *readBack) add(ctx context.Context, s *format.Segment) error {
	for x, data := range s.All() {
		room := max(0, min(x.Len, r.dest.size-x.Off))
		if room < x.Len && x.Kind == format.Data {
			x.Hash = xxhash.Sum64(data[:room])
		}
		if x.Len = room; room > 0 {
			r.expect = append(r.expect, x)
			r.bytes += room
		}
	}
	if r.bytes < readBackBytes && len(r.expect) < readBackExtents {
		return nil
	}
	if err := r.dest.sync(); err != nil {
		return err
	}
	return r.compare(ctx)
}

// compare reads back what has been written and flushed since the last time.
func (r *readBack) compare(ctx context.Context) error {
	in, err := openDirect(r.dest)
	if err != nil {
		return err
	}
	defer in.Close()
	if in.cached && !r.cached {
		r.warn(r.dest.path + " can only be read back through the page cache: its file system can't do without")
		r.cached = true
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for _, x := range r.expect {
		g.Go(func() error { return in.compare(ctx, x) })
	}
	if err := g.Wait(); err != nil {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return r.dest.fail(err)
	}
	r.expect, r.bytes = r.expect[:0], 0
	return nil
}

// A direct reads the destination past the cache.
type direct struct {
	*os.File
	path    string
	cached  bool // not past the cache
	buffers chan []byte
}

// openDirect opens the destination once more, for reading past the cache where the
// file system can do that.
func openDirect(d *destination) (*direct, error) {
	// This way it is the same file or device, whatever its name means by now.
	name := fmt.Sprintf("/proc/self/fd/%d", d.f.Fd())
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECT, 0)
	cached := errors.Is(err, unix.EINVAL)
	if cached {
		if f, err = os.OpenFile(name, os.O_RDONLY, 0); err == nil {
			_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s to read it back: %w", d.path, cause(err))
	}
	in := &direct{File: f, path: d.path, cached: cached, buffers: make(chan []byte, parallelReads)}
	for range cap(in.buffers) {
		in.buffers <- nil // made when first needed
	}
	return in, nil
}

// compare compares one extent.
func (in *direct) compare(ctx context.Context, x format.Record) error {
	buf := <-in.buffers
	defer func() { in.buffers <- buf }()
	if buf == nil {
		buf = alignedBuffer(pieceSize + 2*zeroAlign)
	}
	sum, same := xxhash.New(), true
	err := pieces(x.Extent, func(off, n int64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := in.read(buf, off, n)
		if x.Kind == format.Zero {
			same = same && bytes.Equal(b, zeros[:len(b)])
		} else {
			sum.Write(b)
		}
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("read back %s at byte %d: %w", in.path, x.Off, cause(err))
	case !same, x.Kind == format.Data && sum.Sum64() != x.Hash:
		return fmt.Errorf("read back %s: the device does not hold what was written to [%d, %d)", in.path, x.Off, x.End())
	}
	return nil
}

// read reads [off, off+n) into buf, with what is around it to be aligned.
func (in *direct) read(buf []byte, off, n int64) ([]byte, error) {
	start := off / zeroAlign * zeroAlign
	length := (off - start + n + zeroAlign - 1) / zeroAlign * zeroAlign
	got, err := in.ReadAt(buf[:length], start)
	if int64(got) < off-start+n {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return buf[off-start : off-start+n], nil
}
