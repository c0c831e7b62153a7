package signature

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/internal/imagetest"
	"lvmsync/format"
)

// signatureOf makes the signature of a file.
func signatureOf(t *testing.T, path string, blockSize int64) []byte {
	t.Helper()
	f, err := blockdev.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	report, err := Make(t.Context(), f, &out, Options{BlockSize: blockSize})
	if err != nil {
		t.Fatal(err)
	}
	h, err := format.VerifySignature(bytes.NewReader(out.Bytes()))
	if err != nil || h.ID != report.Header.ID || report.Bytes != int64(out.Len()) {
		t.Fatalf("%v: %+v, told was %+v", err, h, report)
	}
	return out.Bytes()
}

// open opens the difference of a pair.
func open(t *testing.T, p imagetest.Pair, blockSize int64) *Source {
	t.Helper()
	src, err := Open(t.Context(), p.NewPath, bytes.NewReader(signatureOf(t, p.OldPath, blockSize)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

func check(t *testing.T, p imagetest.Pair, rnd *rand.Rand, blockSize int64) {
	t.Helper()
	p.Write(t, rnd)
	src := open(t, p, blockSize)
	if h := p.Check(t, src, blockSize); h.Base.HashSeed == 0 || h.Granularity != blockSize {
		t.Errorf("header %+v", h)
	}
}

// What is left from some byte on completes what an earlier run has brought.
func TestStart(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			p, blockSize := imagetest.Random(rnd), format.SectorSize<<rnd.IntN(12)
			p.Write(t, rnd)
			src := open(t, p, int64(blockSize))
			p.CheckFrom(t, src, int64(blockSize), rnd.Int64N(int64(len(p.New))))
		})
	}
}

func TestEdges(t *testing.T) {
	for name, p := range imagetest.Edges() {
		for _, blockSize := range []int64{512, 4096, 1 << 20} {
			if len(p.Old) == 0 {
				continue // has no signature
			}
			t.Run(fmt.Sprintf("%s, blocks of %d", name, blockSize), func(t *testing.T) {
				check(t, p, rand.New(rand.NewPCG(1, 2)), blockSize)
			})
		}
	}
}

// Whatever differs is in the patch, and nothing else.
func TestRandomPairs(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			check(t, imagetest.Random(rnd), rnd, format.SectorSize<<rnd.IntN(12))
		})
	}
}

// A signature that is cut off, or in which a bit has flipped, never gives a whole
// patch: wherever that is, and though the patch would be right.
func TestBrokenSignature(t *testing.T) {
	p := imagetest.Edges()["middle byte"]
	p.Write(t, rand.New(rand.NewPCG(1, 2)))
	good := signatureOf(t, p.OldPath, 4096)
	dumpWith := func(sig []byte) error {
		src, err := Open(t.Context(), p.NewPath, bytes.NewReader(sig))
		if err != nil {
			return err
		}
		defer src.Close()
		_, err = dump.Run(t.Context(), src, new(bytes.Buffer), dump.Options{ExactBase: true})
		return err
	}
	if err := dumpWith(good); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(good); at += 1 + at/50 {
		if err := dumpWith(good[:at]); err == nil {
			t.Errorf("cut off after %d bytes: no error", at)
		}
		flipped := bytes.Clone(good)
		flipped[at] ^= 4
		if err := dumpWith(flipped); !errors.Is(err, format.ErrCorrupt) && !errors.Is(err, format.ErrNotSignature) && !errors.Is(err, format.ErrVersion) {
			t.Errorf("bit flipped in byte %d: %v", at, err)
		}
	}
	if err := dumpWith(append(bytes.Clone(good), 0)); !errors.Is(err, format.ErrCorrupt) {
		t.Errorf("a byte too many: %v", err)
	}
}
