package dump

import (
	"bytes"
	"context"
	"io"
	"slices"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

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

// fingerprint samples what lies outside the source's extents. Blocks of zeros tell
// one volume from another badly; they are taken only for want of others. A block
// behind a change is near to what changes often, which shows best that an earlier
// delta was missed.
func fingerprint(ctx context.Context, src Source, volumeSize int64) (format.Fingerprint, error) {
	in := src.Unchanged()
	if in == nil {
		return nil, nil
	}
	windows, err := sampleWindows(src, volumeSize)
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

// sampleWindows finds, for each stratum, ranges outside the extents to look for
// samples in, the better ones first.
func sampleWindows(src Source, volumeSize int64) ([][]format.Extent, error) {
	stratum := roundUp(volumeSize/strata+1, format.SampleSize)
	windows := make([][]format.Extent, strata)
	// Places are passed in ascending order, and so are the gaps between extents.
	place := 0
	placeAt := func() int64 {
		return int64(place/places)*stratum + roundUp(int64(place%places*2+1)*stratum/(2*places), format.SampleSize)
	}
	add := func(off, end int64, first bool) {
		off = roundUp(off, format.SampleSize)
		i := off / stratum
		end = min(end, off+sampleWindow, (i+1)*stratum)
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
	done, behind := int64(0), int64(-1) // what has been passed; last stratum with a window behind a change
	for e, err := range src.Extents() {
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

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// sampleStratum takes the samples of one stratum.
func sampleStratum(ctx context.Context, in io.ReaderAt, windows []format.Extent) (format.Fingerprint, error) {
	var good, zero format.Fingerprint
	buf := make([]byte, sampleWindow)
	for _, w := range windows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(good) == stratumSample {
			break
		}
		if n, err := in.ReadAt(buf[:w.Len], w.Off); int64(n) < w.Len {
			return nil, readError(w, err)
		}
		s, isZero := sampleWithin(buf[:w.Len], w.Off)
		if isZero {
			zero = append(zero, s)
		} else {
			good = append(good, s)
		}
	}
	f := append(good, zero...)
	f = f[:min(len(f), stratumSample)]
	slices.SortFunc(f, func(a, b format.Sample) int { return int(a.Offset - b.Offset) })
	return slices.CompactFunc(f, func(b, a format.Sample) bool { return b.Offset < a.Offset+format.SampleSize }), nil
}

// sampleWithin samples the first block of data, which begins at off in the volume,
// that isn't zero, or else the first.
func sampleWithin(data []byte, off int64) (s format.Sample, isZero bool) {
	at := 0
	for at < len(data) && bytes.Equal(data[at:at+format.SampleSize], zeroSample[:]) {
		at += format.SampleSize
	}
	if isZero = at == len(data); isZero {
		at = 0
	}
	block := data[at : at+format.SampleSize]
	return format.Sample{Offset: off + int64(at), Hash: format.Hash(xxhash.Sum64(block))}, isZero
}
