package metadata

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// used lists the blocks of an image that hold anything.
func used(image []byte) (list []int) {
	for i := 0; i < len(image); i += BlockSize {
		if !bytes.Equal(image[i:i+BlockSize], make([]byte, BlockSize)) {
			list = append(list, i)
		}
	}
	return list
}

// A bit flipped anywhere gives the right answer or an error, never a wrong answer.
func TestFlippedBits(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, c := range capturedPools(t) {
		for _, v := range c.Views {
			found := 0
			blocks := used(v.image)
			for range 300 {
				at := blocks[rnd.IntN(len(blocks))] + rnd.IntN(BlockSize)
				bit := byte(1) << rnd.IntN(8)
				v.image[at] ^= bit
				if err := v.check(t, v.image); err != nil {
					found++
					if !errors.Is(err, ErrCorrupt) {
						t.Errorf("%s/%s: byte %d: %v", c.Name, v.View, at, err)
					}
				}
				v.image[at] ^= bit
			}
			if found == 0 {
				t.Errorf("%s/%s: no damage was found", c.Name, v.View)
			}
		}
	}
}

// damaged changes a block of the first captured pool and mends its checksum.
func damaged(t testing.TB, block uint64, salt uint32, change func(b []byte)) error {
	t.Helper()
	v := capturedPools(t)[0].Views[1] // closed
	b := v.image[block*BlockSize:][:BlockSize]
	change(b)
	le.PutUint32(b, checksum(b, salt))
	m, err := v.open(v.image)
	if err != nil {
		return err
	}
	if _, err = m.Diff(t.Context(), 2, 1); err == nil {
		_, err = m.DiffEver(t.Context(), 2, 1)
	}
	return err
}

// detailsRoot is the root of the tree of its volumes' details.
func detailsRoot(t testing.TB) uint64 {
	v := capturedPools(t)[0].Views[1]
	m, err := v.open(v.image)
	if err != nil {
		t.Fatal(err)
	}
	return m.super.detailsRoot
}

// mappingRoot is the root of the first captured pool's tree of volumes.
func mappingRoot(t testing.TB) uint64 {
	v := capturedPools(t)[0].Views[1]
	m, err := v.open(v.image)
	if err != nil {
		t.Fatal(err)
	}
	return m.super.mappingRoot
}

// volumeRoot is the root of the tree of volume 1.
func volumeRoot(t testing.TB) uint64 {
	v := capturedPools(t)[0].Views[1]
	m, err := v.open(v.image)
	if err != nil {
		t.Fatal(err)
	}
	root, err := m.root(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// Each rule that is broken under a right checksum is named, with its block.
func TestBrokenRules(t *testing.T) {
	top, leaf, details := mappingRoot(t), volumeRoot(t), detailsRoot(t)
	put32 := func(at int, v uint32) func([]byte) {
		return func(b []byte) { le.PutUint32(b[at:], v) }
	}
	put64 := func(at int, v uint64) func([]byte) {
		return func(b []byte) { le.PutUint64(b[at:], v) }
	}
	most := func(b []byte) int { return int(le.Uint32(b[20:])) }
	for _, test := range []struct {
		name   string
		block  uint64
		salt   uint32
		change func([]byte)
		want   string
	}{
		{"magic", 0, superblockSalt, put64(32, 1), "no thin pool's superblock"},
		{"version", 0, superblockSalt, put32(40, 3), "version 3"},
		{"number of the superblock", 0, superblockSalt, put64(8, 1), "says that it is block 1"},
		{"incompatible", 0, superblockSalt, put32(360, 4), "incompatible features 0x4"},
		{"data block size", 0, superblockSalt, put32(336, 100), "data blocks of 100 sectors"},
		{"metadata block size", 0, superblockSalt, put32(340, 16), "metadata blocks of 16 sectors"},
		{"root past the end", 0, superblockSalt, put64(320, 1<<40), "past the end of the device"},
		{"root is the superblock", 0, superblockSalt, put64(320, 0), "checksum"},
		{"flags", top, nodeSalt, put32(4, 3), "neither internal node nor leaf"},
		{"value size", top, nodeSalt, put32(24, 16), "values of 16 bytes"},
		{"room", top, nodeSalt, put32(20, 1000), "room for 1000 entries"},
		{"entries", top, nodeSalt, put32(16, 253), "253 entries"},
		{"volume id", top, nodeSalt, put64(nodeHeader, 1<<30), "not within"},
		{"order of keys", leaf, nodeSalt,
			func(b []byte) { copy(b[nodeHeader:], b[nodeHeader+8:nodeHeader+16]) }, "out of order"},
		{"empty internal node", leaf, nodeSalt, func(b []byte) {
			le.PutUint32(b[4:], flagInternal)
			le.PutUint32(b[16:], 0)
		}, "no entries"},
		{"data block past the end", leaf, nodeSalt,
			func(b []byte) { le.PutUint64(b[nodeHeader+8*most(b):], 1<<63) }, "and the pool has"},
		{"details of another size", details, nodeSalt, put32(24, 8), "values of 8 bytes"},
		{"room for details", details, nodeSalt, put32(20, 128), "room for 128 entries"},
		{"a loop", leaf, nodeSalt, func(b []byte) {
			le.PutUint32(b[4:], flagInternal)
			le.PutUint32(b[16:], 1)
			le.PutUint64(b[nodeHeader:], 0)
			le.PutUint64(b[nodeHeader+8*most(b):], leaf)
		}, "has a loop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := damaged(t, test.block, test.salt, test.change)
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// A device that fails or is cut gives its own error, not that of corruption.
func TestShortDevice(t *testing.T) {
	v := capturedPools(t)[0].Views[1]
	_, err := Open(bytes.NewReader(v.image[:100]), int64(len(v.image)))
	if err == nil || errors.Is(err, ErrCorrupt) {
		t.Errorf("a device that can't be read gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m, err := v.open(v.image)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Diff(ctx, 1, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// FuzzMetadata changes bytes of a captured pool, mends the checksums, and wants an answer or
// an error, soon and with memory that is bounded by the device.
func FuzzMetadata(f *testing.F) {
	v := capturedPools(f)[0].Views[0]
	blocks := used(v.image)
	f.Add([]byte{0, 0, 32, 1})
	f.Add([]byte{1, 0, 16, 255, 2, 0, 20, 7})
	f.Add([]byte{3, 0, 4, 3, 4, 1, 0, 9})
	f.Fuzz(func(t *testing.T, changes []byte) {
		image := slices.Clone(v.image)
		for ; len(changes) >= 4; changes = changes[4:] {
			b := image[blocks[int(changes[0])%len(blocks)]:][:BlockSize]
			b[(int(changes[1])<<8|int(changes[2]))%BlockSize] ^= changes[3]
			salt := uint32(nodeSalt)
			if le.Uint64(b[32:]) == superMagic {
				salt = superblockSalt
			}
			le.PutUint32(b, checksum(b, salt))
		}
		m, err := v.open(image)
		if err != nil {
			return
		}
		d, err := m.Diff(t.Context(), 2, 1)
		if err == nil {
			_, err = m.MayDescend(t.Context(), 1, 2)
		}
		if err == nil {
			d, err = m.DiffEver(t.Context(), 2, 1)
		}
		if err == nil &&
			d.Mapped.GetCardinality()+d.Unmapped.GetCardinality() > uint64(len(image)) {
			t.Error("more changes than the metadata can list")
		}
	})
}
