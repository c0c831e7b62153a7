package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

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
	told   map[string]bool // of which files it was told that the cache can't be avoided
}

// add remembers what a segment said.
func (r *readBack) add(ctx context.Context, s *format.Segment) error {
	for x, data := range s.All() {
		room := r.dest.room(x.Extent)
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
	later := r.holdBack()
	if err := r.compare(ctx); err != nil {
		return err
	}
	for _, x := range later {
		r.expect, r.bytes = append(r.expect, x), r.bytes+x.Len
	}
	return nil
}

// holdBack takes out what is in the block of a pool that the next write may be in, too:
// it is read back when nothing more is written there.
func (r *readBack) holdBack() (later []format.Record) {
	end := r.expect[len(r.expect)-1].End()
	for block := range r.dest.blocks.in(end-1, end) {
		n := len(r.expect)
		for n > 0 && r.expect[n-1].End() > block.Off {
			n--
		}
		later = slices.Clone(r.expect[n:])
		r.expect = r.expect[:n]
		if first := &later[0]; first.Kind == format.Zero && first.Off < block.Off {
			before := *first
			before.Len = block.Off - before.Off
			first.Off, first.Len = block.Off, first.Len-before.Len
			r.expect = append(r.expect, before)
		}
	}
	return later
}

// compare reads back what has been written and flushed since the last time.
func (r *readBack) compare(ctx context.Context) error {
	r.emptyCaches()
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

// emptyCaches drops what has been written from every page cache that it may be read
// back from: the file's, and those of the files that a device lies on, for a loop
// device reads these like everybody else.
func (r *readBack) emptyCaches() {
	d := r.dest
	if !d.isDevice && len(r.expect) > 0 {
		start, end := r.expect[0].Off, r.expect[len(r.expect)-1].End()
		isEmpty := emptyCache(d.f, start, end-start)
		if direct, _ := readsDirect(d.in.f); !isEmpty && (!direct || d.in.cached.Load()) {
			r.tell(d.path, "its file system can't do without", d.path)
		}
	}
	for _, b := range d.backing {
		if st, err := b.Stat(); err == nil && !emptyCache(b.File, 0, st.Size()) {
			r.tell(b.Path, "it can't be emptied",
				fmt.Sprintf("%s, on which %s lies,", b.Path, d.path))
		}
	}
}

// tell warns once of a file whose cache can't be avoided.
func (r *readBack) tell(path, why, what string) {
	if !r.told[path] {
		r.warn(what + " can only be read back through the page cache: " + why)
		r.told[path] = true
	}
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
		return fmt.Errorf("read back %s: the device does not hold what was written to [%d, %d)",
			r.dest.path, x.Off, x.End())
	}
	return nil
}
