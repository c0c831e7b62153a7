package dump

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

	"lvmsync/dump/blockdev"
	"lvmsync/format"
)

// The volume is cut into strata, and of each some samples are taken: that spreads
// them evenly.
const (
	strata        = 128
	stratumSample = format.MaxSamples / strata
	// places is where in a stratum samples are looked for, besides right behind
	// the first change.
	places = 4
	// sampleWindow is how much is read at a place in search of a block that isn't
	// zero, in bytes.
	sampleWindow = 64 << 10
)

var zeroSample [format.SampleSize]byte

// fingerprint samples what lies outside the extents, ascending, of what in reads. Blocks of zeros
// tell one volume from another badly; they are taken only for want of others. A block behind a
// change is near to what changes often, which shows best that an earlier delta was missed.
func fingerprint(ctx context.Context, in io.ReaderAt, extents iter.Seq2[format.Extent, error],
	volumeSize int64) (format.Fingerprint, error) {
	windows, err := sampleWindows(extents, volumeSize)
	if err != nil {
		return nil, err
	}
	found := make([]format.Fingerprint, len(windows))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for i, w := range windows {
		g.Go(func() (err error) {
			found[i], err = sampleStratum(ctx, in, w)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// Fingerprint samples a volume of size bytes, of which nobody knows yet what has changed.
func Fingerprint(ctx context.Context, in io.ReaderAt, size int64) (format.Fingerprint, error) {
	f, err := fingerprint(ctx, passOver{in}, func(func(format.Extent, error) bool) {}, size)
	if err != nil {
		return nil, fmt.Errorf("take a sample: %w", err)
	}
	return f, nil
}

// StillHeld leaves those samples of a base that now, which has size bytes, holds, too.
func StillHeld(ctx context.Context, samples format.Fingerprint, now io.ReaderAt,
	size int64) (held format.Fingerprint, err error) {
	b := make([]byte, format.SampleSize)
	for _, s := range samples {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if s.Offset > size-format.SampleSize {
			break
		}
		n, err := now.ReadAt(b, s.Offset)
		if unreadable(err) {
			continue // if it matters, it's told when the data are read
		}
		if n < len(b) {
			err = readError(format.Extent{Off: s.Offset, Len: format.SampleSize}, err)
			return nil, fmt.Errorf("compare a sample: %w", err)
		}
		if s.Holds(b) {
			held = append(held, s)
		}
	}
	return held, nil
}

// sampleWindows finds, for each stratum, ranges outside the extents to look for
// samples in, the better ones first.
func sampleWindows(extents iter.Seq2[format.Extent, error],
	volumeSize int64) ([][]format.Extent, error) {
	// The last stratum is longer by what is left.
	stratum := max(volumeSize/strata/format.SampleSize, 1) * format.SampleSize
	windows := make([][]format.Extent, strata)
	// Places are passed in ascending order, and so are the gaps between extents.
	place := 0
	placeAt := func() int64 {
		within := int64(place%places*2+1) * (stratum / (2 * places))
		return int64(place/places)*stratum + within/format.SampleSize*format.SampleSize
	}
	add := func(off, end int64, first bool) {
		if end-off < format.SampleSize {
			return
		}
		off = (off + format.SampleSize - 1) / format.SampleSize * format.SampleSize
		i := min(off/stratum, strata-1)
		if end = min(end, off+sampleWindow); i < strata-1 {
			end = min(end, (i+1)*stratum)
		}
		if end-off < format.SampleSize {
			return
		}
		w := format.Extent{Off: off, Len: (end - off) / format.SampleSize * format.SampleSize}
		if slices.Contains(windows[i], w) {
			return
		}
		if first {
			windows[i] = slices.Insert(windows[i], 0, w)
		} else {
			windows[i] = append(windows[i], w)
		}
	}
	gap := func(off, end int64) {
		for ; place < strata*places && placeAt() < end; place++ {
			add(max(off, placeAt()), end, false)
		}
	}
	done := int64(0)    // what has been passed
	behind := int64(-1) // last stratum with a window behind a change
	for e, err := range extents {
		if err != nil {
			return nil, err
		}
		if done > 0 && e.Off > done && done/stratum != behind {
			behind = done / stratum
			add(done, e.Off, true)
		}
		gap(done, e.Off)
		done = e.End()
	}
	if done > 0 && done < volumeSize && done/stratum != behind {
		add(done, volumeSize, true)
	}
	gap(done, volumeSize)
	return windows, nil
}

// sampleStratum takes the samples of one stratum.
func sampleStratum(ctx context.Context, in io.ReaderAt,
	windows []format.Extent) (format.Fingerprint, error) {
	var good, zero format.Fingerprint
	for _, w := range windows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(good) == stratumSample {
			break
		}
		found, zeros, err := sampleIn(in, w, good)
		if errors.Is(err, errPassOver) {
			continue
		}
		if err != nil {
			return nil, err
		}
		good, zero = append(good, found...), append(zero, zeros...)
	}
	for _, s := range zero {
		if len(good) < stratumSample && !overlaps(good, s.Offset) {
			good = append(good, s)
		}
	}
	slices.SortFunc(good, func(a, b format.Sample) int { return cmp.Compare(a.Offset, b.Offset) })
	return good, nil
}

// sampleIn takes a sample of the first block in a window that isn't zero and doesn't
// overlap others. If the first block of all is zero, that comes, too.
func sampleIn(in io.ReaderAt, window format.Extent,
	others format.Fingerprint) (good, zero format.Fingerprint, err error) {
	buf := sampleBuffers.Get().(*[]byte)
	defer sampleBuffers.Put(buf)
	for at := int64(0); at < window.Len; {
		// Mostly the first block will do.
		part := format.Extent{Off: window.Off + at, Len: format.SampleSize}
		if at > 0 {
			part.Len = window.Len - at
		}
		b := (*buf)[:part.Len]
		if n, err := in.ReadAt(b, part.Off); errors.Is(err, errPassOver) {
			return nil, nil, err
		} else if int64(n) < part.Len {
			return nil, nil, readError(part, err)
		}
		for ; len(b) > 0; b, at = b[format.SampleSize:], at+format.SampleSize {
			block, off := b[:format.SampleSize], window.Off+at
			if overlaps(others, off) {
				continue
			}
			s := format.Fingerprint{{Offset: off, Hash: format.Hash(xxhash.Sum64(block))}}
			if !bytes.Equal(block, zeroSample[:]) {
				return s, zero, nil
			}
			if at == 0 {
				zero = s
			}
		}
	}
	return nil, zero, nil
}

var sampleBuffers = sync.Pool{New: func() any {
	b := blockdev.AlignedBuffer(sampleWindow)
	return &b
}}

// overlaps tells whether a sample at off would overlap one of those.
func overlaps(samples format.Fingerprint, off int64) bool {
	return slices.ContainsFunc(samples, func(s format.Sample) bool {
		return s.Offset < off+format.SampleSize && off < s.Offset+format.SampleSize
	})
}
