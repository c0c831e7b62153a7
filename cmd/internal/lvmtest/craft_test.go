//go:build lvm

package lvmtest

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/refine"
)

// A pair is a volume before and after something was written to it. From it the tests that break a
// run off make their patches: in many small segments, so that there are many steps of which any can
// be the last.
type pair struct {
	old, new       []byte
	oldSum, newSum digest
}

// A digest is a SHA-256.
type digest = [sha256.Size]byte

const block = refine.BlockSize

// newPair makes a volume of random bytes with zeros here and there, of which more than half
// changes: single blocks and runs of them, to zeros and from zeros, and so many zeros in a row that
// a device is asked to make them.
func newPair(seed uint64, size int64) pair {
	noise := rand.NewChaCha8([32]byte{byte(seed), 3})
	rnd := rand.New(noise)
	p := pair{old: make([]byte, size), new: make([]byte, size)}
	for off := int64(0); off < size; off += block {
		before, after := p.old[off:off+block], p.new[off:off+block]
		if rnd.IntN(10) > 0 {
			noise.Read(before)
		}
		switch n := rnd.IntN(10); {
		case n < 5:
			noise.Read(after)
		case n > 5:
			copy(after, before)
		}
	}
	noise.Read(p.old[size/2 : size/2+128*kib])
	clear(p.new[size/2 : size/2+128*kib])
	return p.summed()
}

func (p pair) summed() pair {
	p.oldSum, p.newSum = sha256.Sum256(p.old), sha256.Sum256(p.new)
	return p
}

// A crafting says how a pair becomes a delta.
type crafting struct {
	exact      bool  // with base hashes
	unsampled  bool  // without a fingerprint: nothing of the base is known
	unit       int64 // in which changes are told, in bytes
	perSegment int   // extents in a segment
}

// delta makes the patch that leads from old to new, and tells where in it the header and each
// segment end.
func (p pair) delta(t *testing.T, c crafting) (patch []byte, ends []int) {
	t.Helper()
	h := format.Header{ID: uuid.New(), Kind: format.Delta, Created: time.Now().UTC(),
		Granularity: c.unit,
		VolumeSize:  int64(len(p.old)), Base: &format.Base{Exact: c.exact}}
	if !c.unsampled {
		h.Base.Fingerprint = p.fingerprint()
	}
	var out bytes.Buffer
	w, err := format.NewWriter(&out, h, format.WriterOptions{Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	for batch := range slices.Chunk(p.changes(c.unit, c.exact), c.perSegment) {
		ends = append(ends, out.Len())
		s := w.NewSegment()
		for _, e := range batch {
			r := format.Record{Extent: e}
			if r.HasBase = c.exact; c.exact {
				r.BaseHash = xxhash.Sum64(p.old[e.Off:e.End()])
			}
			s.Records = append(s.Records, r)
			if e.Kind == format.Data {
				s.Data = append(s.Data, p.new[e.Off:e.End()]...)
			}
		}
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	ends = append(ends, out.Len())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), ends
}

// changes lists what differs, in extents of up to four blocks, or any number of them if they are
// zeros; if that is exact, in extents of one block.
func (p pair) changes(unit int64, exact bool) []format.Extent {
	var list []format.Extent
	for off := int64(0); off < int64(len(p.new)); off += unit {
		after := p.new[off : off+unit]
		if bytes.Equal(after, p.old[off:off+unit]) {
			continue
		}
		e := format.Extent{Off: off, Len: unit}
		if !slices.ContainsFunc(after, func(b byte) bool { return b != 0 }) {
			e.Kind = format.Zero
		}
		if n := len(list) - 1; !exact && n >= 0 && list[n].End() == off && list[n].Kind == e.Kind &&
			(e.Kind == format.Zero || list[n].Len < 4*block) {
			list[n].Len += unit
		} else {
			list = append(list, e)
		}
	}
	return list
}

func (p pair) fingerprint() format.Fingerprint {
	var f format.Fingerprint
	for off := int64(0); off < int64(len(p.old)) && len(f) < format.MaxSamples; off += block {
		if same := p.old[off : off+block]; bytes.Equal(same, p.new[off:off+block]) {
			f = append(f, format.Sample{Offset: off, Hash: format.Hash(xxhash.Sum64(same))})
		}
	}
	return f
}

// seeded makes a source of random numbers whose seed is told, and can be given.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("LVMSYNC_TEST_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("LVMSYNC_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// times is n, or more if LVMSYNC_TEST_KILLS says so: how often to break off.
func times(t *testing.T, n int) int {
	t.Helper()
	more := os.Getenv("LVMSYNC_TEST_KILLS")
	if more == "" {
		return n
	}
	factor, err := strconv.Atoi(more)
	if err != nil {
		t.Fatal(err)
	}
	return n * factor
}
