package apply

import (
	"bytes"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format"
	"lvmsync/format/refine"
	"lvmsync/format/sigfile"
)

// block is the unit in which exact patches leave out what is equal.
const block = refine.BlockSize

// A modelPatch is a patch and what it's made of.
type modelPatch struct {
	header  format.Header
	base    []byte
	hashes  bool // there are base hashes
	pieces  []piece
	hashed  []bool // pieces with a base hash
	encoded []byte
}

func (p *modelPatch) exact() bool { return p.header.Base != nil && p.header.Base.Exact }

func (p *modelPatch) isFull() bool { return p.header.Kind == format.Full }

// onto lays the patch over b, as far as that goes.
func (p *modelPatch) onto(b []byte) {
	for _, x := range p.pieces {
		if x.Off < int64(len(b)) {
			at := b[x.Off:min(x.End(), int64(len(b)))]
			clear(at)
			copy(at, x.data)
		}
	}
}

// covers tells whether the patch has any of the n bytes from off on.
func (p *modelPatch) covers(off, n int64) bool {
	return slices.ContainsFunc(p.pieces, func(x piece) bool {
		return x.Off < off+n && off < x.End()
	})
}

// addPiece makes up what an extent becomes. In an exact patch no block of it stays
// as it was, and its hash is known where the base has it.
func (w *world) addPiece(p *modelPatch, e format.Extent, after []byte) {
	at := after[e.Off:e.End()]
	inBase := e.End() <= int64(len(p.base))
	if p.exact() && inBase && e.Kind == format.Zero && anyBlock(e, p.base, nil) {
		e.Kind = format.Data
	}
	switch {
	case e.Kind == format.Zero:
		clear(at)
	case e.End() <= int64(len(w.first)) && w.rnd.IntN(4) == 0:
		copy(at, w.first[e.Off:]) // as it was once
	case w.rnd.IntN(4) > 0:
		w.scribble(at)
	}
	if p.exact() && inBase {
		for off := e.Off; off < e.End(); off = (off/block + 1) * block {
			end := min(e.End(), (off/block+1)*block)
			if bytes.Equal(after[off:end], p.base[off:end]) {
				after[off+w.rnd.Int64N(end-off)] ^= 0x55
			}
		}
	}
	x := piece{Extent: e}
	if e.Kind == format.Data {
		x.data = slices.Clone(at)
	}
	p.pieces = append(p.pieces, x)
	p.hashed = append(p.hashed, p.hashes && inBase)
}

// anyBlock tells whether a block of an extent is the same in a and b; nil is zeros.
func anyBlock(e format.Extent, a, b []byte) bool {
	for off := e.Off; off < e.End(); off = (off/block + 1) * block {
		end := min(e.End(), (off/block+1)*block)
		if b == nil && bytes.Equal(a[off:end], zeros[:end-off]) ||
			b != nil && bytes.Equal(a[off:end], b[off:end]) {
			return true
		}
	}
	return false
}

// takeFingerprint samples what the patch leaves as it is.
func (w *world) takeFingerprint(p *modelPatch) {
	f := &p.header.Base.Fingerprint
	for off := int64(0); off+format.SampleSize <= int64(len(p.base)) &&
		len(*f) < format.MaxSamples; {
		if !p.covers(off, format.SampleSize) && w.rnd.IntN(3) > 0 {
			sum := xxhash.Sum64(p.base[off : off+format.SampleSize])
			*f = append(*f, format.Sample{Offset: off, Hash: format.Hash(sum)})
			off += format.SampleSize - w.grid
		}
		off += w.grid * (1 + w.length(8)/2)
	}
}

// encode writes the patch, cut into segments at random.
func (p *modelPatch) encode(t testing.TB, w *world) {
	t.Helper()
	var out bytes.Buffer
	pw, err := format.NewWriter(&out, p.header, format.WriterOptions{Level: w.rnd.IntN(2)})
	if err != nil {
		t.Fatal(err)
	}
	most := w.length(1000)
	for i := 0; i < len(p.pieces); {
		s := pw.NewSegment()
		for n := w.length(most); n > 0 && i < len(p.pieces) &&
			len(s.Data)+len(p.pieces[i].data) <= format.MaxSegmentData; n-- {
			x := p.pieces[i]
			r := format.Record{Extent: x.Extent, HasBase: p.hashed[i]}
			if r.HasBase {
				r.BaseHash = sigfile.Sum(uint64(p.header.Base.HashSeed), p.base[x.Off:x.End()])
			}
			s.Records, s.Data = append(s.Records, r), append(s.Data, x.data...)
			i++
		}
		if err := pw.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := pw.Close(); err != nil {
		t.Fatal(err)
	}
	p.encoded = out.Bytes()
}
