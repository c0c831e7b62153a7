package signature

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/internal/imagetest"
	"lvmsync/format"
	"lvmsync/format/sigfile"
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
	report, err := Make(t.Context(), Device(f), &out, Options{BlockSize: blockSize})
	if err != nil {
		t.Fatal(err)
	}
	h, err := sigfile.Verify(bytes.NewReader(out.Bytes()))
	if err != nil || h.ID != report.Header.ID || report.Bytes != int64(out.Len()) {
		t.Fatalf("%v: %+v, told was %+v", err, h, report)
	}
	return out.Bytes()
}

// Whatever differs is in the patch, and nothing else.
func TestPairs(t *testing.T) {
	const least = 1 // there is no signature of nothing
	imagetest.Run(t, least, func(t *testing.T, p imagetest.Pair, blockSize int64) dump.Source {
		src, err := Open(t.Context(), p.NewPath,
			bytes.NewReader(signatureOf(t, p.OldPath, blockSize)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { src.Close() })
		if h := src.Header; h.Base.HashSeed == 0 || h.Granularity != blockSize {
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
		if err := dumpWith(flipped); !errors.Is(err, format.ErrCorrupt) &&
			!errors.Is(err, sigfile.ErrNotSignature) && !errors.Is(err, format.ErrVersion) {
			t.Errorf("bit flipped in byte %d: %v", at, err)
		}
	}
	if err := dumpWith(append(bytes.Clone(good), 0)); !errors.Is(err, format.ErrCorrupt) {
		t.Errorf("a byte too many: %v", err)
	}
}

// Each signature has a seed of its own, so that blocks which were made to have the same hash once
// don't have it the next time; and it is the seed of the hashes.
func TestSeeds(t *testing.T) {
	p := imagetest.Pair{Old: bytes.Repeat([]byte("block"), 8192), New: []byte{1}}
	p.Write(t, rand.New(rand.NewPCG(1, 2)))
	var seeds []format.Hash
	var sums []uint64
	for range 3 {
		r, err := sigfile.NewReader(bytes.NewReader(signatureOf(t, p.OldPath, 4096)))
		if err != nil {
			t.Fatal(err)
		}
		h := r.Header()
		table, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if want := sigfile.Sum(uint64(h.Seed), p.Old[:4096]); h.Seed == 0 || table.Sums[0] != want {
			t.Errorf("seed %v: the hash of the first block is %#x, want %#x", h.Seed,
				table.Sums[0], want)
		}
		seeds, sums = append(seeds, h.Seed), append(sums, table.Sums[0])
	}
	if seeds[0] == seeds[1] || seeds[1] == seeds[2] || sums[0] == sums[1] {
		t.Errorf("seeds %v, hashes %#x: they don't differ", seeds, sums)
	}
}

// What is one hole is long, too, and can be interrupted.
func TestMakeEndsInHole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 64<<30)); err != nil {
		t.Fatal(err)
	}
	f, err := blockdev.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	tables := 0
	_, err = Make(ctx, Device(f), io.Discard, Options{BlockSize: 4096, Progress: func(int64) {
		tables++
		cancel()
	}})
	if !errors.Is(err, context.Canceled) || tables != 1 {
		t.Errorf("%v after %d tables", err, tables)
	}
}

// A volume that became smaller where it had a hole gives no patch.
func TestVolumeShrinksToHole(t *testing.T) {
	p := imagetest.Pair{Old: make([]byte, 1<<20)}
	p.Write(t, rand.New(rand.NewPCG(1, 2)))
	now := filepath.Join(t.TempDir(), "now")
	if err := errors.Join(os.WriteFile(now, nil, 0o600), os.Truncate(now, 1<<20)); err != nil {
		t.Fatal(err)
	}
	src, err := Open(t.Context(), now, bytes.NewReader(signatureOf(t, p.OldPath, 4096)))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := os.Truncate(now, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := dump.Run(t.Context(), src, io.Discard,
		dump.Options{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

// A file that becomes smaller while it is read looks like one with a hole at its end, and gives no
// signature.
func TestShrinking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 2*tableBytes); err != nil {
		t.Fatal(err)
	}
	f, err := blockdev.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	shrink := func(done int64) {
		if done == tableBytes {
			if err := os.Truncate(path, tableBytes+4096); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := Make(t.Context(), Device(f), io.Discard,
		Options{BlockSize: 1 << 20, Progress: shrink}); err == nil {
		t.Error("no error")
	}
}
