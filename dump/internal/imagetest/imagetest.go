// Package imagetest makes pairs of image files for tests of what compares them, and
// checks the patch that leads from one to the other.
package imagetest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cespare/xxhash/v2"

	"lvmsync/dump"
	"lvmsync/format"
	"lvmsync/format/refine"
)

// Run checks what compares: open opens the difference of a pair, whose old image has at
// least so many bytes. It tries edges, random pairs, and what is left from some byte on when an
// earlier run has brought what lies before.
func Run(t *testing.T, least int, open func(t *testing.T, p Pair, blockSize int64) dump.Source) {
	for name, p := range edges() {
		if len(p.Old) < least {
			continue
		}
		for _, blockSize := range []int64{512, 4096, 1 << 20} {
			t.Run(fmt.Sprintf("%s, blocks of %d", name, blockSize), func(t *testing.T) {
				p.Write(t, rand.New(rand.NewPCG(1, 2)))
				p.check(t, open(t, p, blockSize), blockSize, 0)
			})
		}
	}
	for seed := range uint64(100) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			p, blockSize := random(rnd), int64(format.SectorSize)<<rnd.IntN(12)
			for len(p.Old) < least {
				p = random(rnd)
			}
			p.Write(t, rnd)
			start := int64(0)
			if rnd.IntN(2) == 0 {
				start = rnd.Int64N(int64(len(p.New)))
			}
			p.check(t, open(t, p, blockSize), blockSize, start)
		})
	}
}

// A Pair is an image before and after it was changed.
type Pair struct {
	Old, New         []byte
	OldPath, NewPath string
}

// Write writes both to files, in which blocks of zeros are holes now and then.
func (p *Pair) Write(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	dir := t.TempDir()
	p.OldPath, p.NewPath = filepath.Join(dir, "old"), filepath.Join(dir, "new")
	for _, image := range []struct {
		path    string
		content []byte
	}{{p.OldPath, p.Old}, {p.NewPath, p.New}} { // in order: a seed says it all
		content := image.content
		f, err := os.Create(image.path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(int64(len(content))); err != nil {
			t.Fatal(err)
		}
		for off := 0; off < len(content); off += 4096 {
			part := content[off:min(off+4096, len(content))]
			if bytes.Count(part, []byte{0}) == len(part) && rnd.IntN(8) > 0 {
				continue
			}
			if _, err := f.WriteAt(part, int64(off)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// random makes up a pair: with runs that are equal, zeros, or differ in a byte; of the
// same size, grown or shrunk; of any number of bytes.
func random(rnd *rand.Rand) Pair {
	size := 1 + rnd.IntN(1<<(10+rnd.IntN(13)))
	if rnd.IntN(2) == 0 {
		size = (size + 4095) / 4096 * 4096
	}
	p := Pair{Old: make([]byte, size)}
	runs(rnd, size, func(part []byte) { scribble(rnd, part) }, p.Old)
	p.New = bytes.Clone(p.Old)
	runs(rnd, size, func(part []byte) {
		switch rnd.IntN(5) {
		case 0:
			scribble(rnd, part)
		case 1:
			clear(part)
		case 2:
			part[rnd.IntN(len(part))] ^= 1 << rnd.IntN(8)
		}
	}, p.New)
	switch rnd.IntN(4) {
	case 0:
		more := make([]byte, 1+rnd.IntN(1<<20))
		runs(rnd, len(more), func(part []byte) { scribble(rnd, part) }, more)
		p.New = append(p.New, more...)
	case 1:
		p.New = p.New[:1+rnd.IntN(len(p.New))]
	}
	return p
}

// runs cuts b into runs of random lengths.
func runs(rnd *rand.Rand, size int, do func([]byte), b []byte) {
	for len(b) > 0 {
		n := min(len(b), 1+rnd.IntN(1<<rnd.IntN(18)))
		do(b[:n])
		b = b[n:]
	}
}

func scribble(rnd *rand.Rand, b []byte) {
	if rnd.IntN(3) == 0 {
		clear(b)
		return
	}
	var seed [32]byte
	seed[0], seed[1] = byte(rnd.Uint32()), byte(rnd.Uint32())
	rand.NewChaCha8(seed).Read(b)
}

// check dumps a source, which must be the difference of the pair in blocks of
// blockSize bytes, from the byte start on, and checks that the patch holds just that.
func (p *Pair) check(t *testing.T, src dump.Source, blockSize, start int64) {
	t.Helper()
	if start > 0 {
		var err error
		if src, err = dump.StartAt(context.Background(), src, start); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	report, err := dump.Run(context.Background(), src, &out,
		dump.Options{ExactBase: true, BlockSize: blockSize, Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := format.NewReader(bytes.NewReader(out.Bytes()), format.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := r.Header()
	if h.VolumeSize != int64(len(p.New)) || !h.Base.Exact || h.Kind != format.Delta {
		t.Errorf("header %+v of a volume of %d bytes", h, len(p.New))
	}
	got := make([]byte, len(p.New))
	copy(got, p.Old)
	copy(got[:h.Start], p.New)
	if h.Start > start || h.Start+max(blockSize, refine.BlockSize) <= start {
		t.Errorf("starts at %d instead of %d", h.Start, start)
	}
	for {
		s, err := r.Next()
		if err != nil {
			break
		}
		for x, data := range s.All() {
			p.checkRecord(t, h, x, blockSize)
			if x.Off < h.Start {
				t.Errorf("%v lies before the start", x)
			}
			clear(got[x.Off:x.End()])
			copy(got[x.Off:], data)
		}
		s.Release()
	}
	if !bytes.Equal(got, p.New) {
		t.Error("the patch does not lead from old to new")
	}
	if r.Totals() != report.Totals {
		t.Errorf("the patch holds %+v, told were %+v", r.Totals(), report.Totals)
	}
	for _, s := range h.Base.Fingerprint {
		end := s.Offset + format.SampleSize
		if !s.Holds(p.New[s.Offset:end]) || end > h.Start && !s.Holds(p.Old[s.Offset:end]) {
			t.Errorf("the sample at %d is none of what has not changed, or was brought before",
				s.Offset)
		}
	}
}

// checkRecord checks the base hash of an extent, and that it's in a block that has
// changed. Where one of both ends within a block, it has none.
func (p *Pair) checkRecord(t *testing.T, h format.Header, x format.Record, blockSize int64) {
	t.Helper()
	block := x.Off / blockSize * blockSize
	end := min(block+max(blockSize, x.Len), int64(len(p.New)), int64(len(p.Old)))
	if x.HasBase && bytes.Equal(p.New[block:end], p.Old[block:end]) {
		t.Errorf("%v has not changed", x)
	}
	if !x.HasBase {
		if whole := (x.Off/blockSize + 1) * blockSize; whole <= int64(min(len(p.Old), len(p.New))) {
			t.Errorf("%v has no base hash", x)
		}
		return
	}
	d := xxhash.NewWithSeed(uint64(h.Base.HashSeed))
	d.Write(p.Old[x.Off:x.End()])
	if d.Sum64() != x.BaseHash {
		t.Errorf("%v has the wrong base hash", x)
	}
}

// edges are pairs that show what goes wrong at ends and borders.
func edges() map[string]Pair {
	noise := make([]byte, 3<<20+1234)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	flipped := func(at int) []byte {
		b := bytes.Clone(noise)
		b[at] ^= 1
		return b
	}
	other := make([]byte, len(noise))
	rand.NewChaCha8([32]byte{2}).Read(other)
	zeros := make([]byte, len(noise))
	return map[string]Pair{
		"identical":            {Old: noise, New: noise},
		"all different":        {Old: noise, New: other},
		"first byte":           {Old: noise, New: flipped(0)},
		"last byte":            {Old: noise, New: flipped(len(noise) - 1)},
		"middle byte":          {Old: noise, New: flipped(len(noise) / 2)},
		"from zeros":           {Old: zeros, New: noise},
		"to zeros":             {Old: noise, New: zeros},
		"zeros":                {Old: zeros, New: zeros},
		"grown":                {Old: noise[:1<<20+1], New: noise},
		"grown by zeros":       {Old: noise, New: append(bytes.Clone(noise), zeros...)},
		"zeros grown by zeros": {Old: zeros, New: append(bytes.Clone(zeros), zeros...)},
		"shrunk":               {Old: noise, New: noise[:2<<20+100]},
		"from nothing":         {Old: nil, New: noise},
		"one byte":             {Old: noise[:1], New: other[:1]},
		"less than a sector":   {Old: noise[:100], New: other[:300]},
	}
}
