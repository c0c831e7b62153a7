package signature

import (
	"bytes"
	"errors"
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

// Whatever differs is in the patch, and nothing else.
func TestPairs(t *testing.T) {
	const least = 1 // there is no signature of nothing
	imagetest.Run(t, least, func(t *testing.T, p imagetest.Pair, blockSize int64) dump.Source {
		src, err := Open(t.Context(), p.NewPath, bytes.NewReader(signatureOf(t, p.OldPath, blockSize)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { src.Close() })
		if h := src.Header(); h.Base.HashSeed == 0 || h.Granularity != blockSize {
			t.Errorf("header %+v", h)
		}
		return src
	})
}

// A signature that is cut off, or in which a bit has flipped, never gives a whole
// patch: wherever that is, and though the patch would be right.
func TestBrokenSignature(t *testing.T) {
	p := imagetest.Pair{Old: make([]byte, 3<<20), New: make([]byte, 3<<20)}
	rand.NewChaCha8([32]byte{}).Read(p.Old)
	copy(p.New, p.Old)
	p.New[2<<20] ^= 1
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
