package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

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
	if r.dest.in.cached.Load() {
		r.dest.in.useCache() // which has been filled since
		if !r.cached {
			r.warn(r.dest.path + " can only be read back through the page cache: its file system can't do without")
			r.cached = true
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for _, x := range r.expect {
		g.Go(func() error { return r.compareExtent(ctx, x) })
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

// compareExtent compares one extent.
func (r *readBack) compareExtent(ctx context.Context, x format.Record) error {
	buf := directBuffers.Get().(*[]byte)
	defer directBuffers.Put(buf)
	sum, same := xxhash.New(), true
	for off := x.Off; off < x.End(); {
		b := (*buf)[:min(x.End()-off, directSize-off%directSize)]
		if err := readFull(ctx, r.dest, b, off); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		if x.Kind == format.Zero {
			same = same && bytes.Equal(b, zeros[:len(b)])
		} else {
			sum.Write(b)
		}
		off += int64(len(b))
	}
	if !same || x.Kind == format.Data && sum.Sum64() != x.Hash {
		return fmt.Errorf("read back %s: the device does not hold what was written to [%d, %d)", r.dest.path, x.Off, x.End())
	}
	return nil
}
