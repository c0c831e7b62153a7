package store

import (
	"bytes"
	"errors"
	"testing"
)

var errBefore = errors.New("it went wrong")

// What can't be read is not said to have been read: neither of the origin, nor of the
// store.
func TestBeforeReadError(t *testing.T) {
	c, b := golden(t, "c64k-partial")
	fails := false
	in := readerAt(func(p []byte, off int64) (int, error) {
		if fails {
			return 0, errBefore
		}
		return bytes.NewReader(b).ReadAt(p, off)
	})
	store, err := Open(in, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	old, err := store.Exceptions(t.Context(), c.OriginBytes, AllAreas)
	if err != nil {
		t.Fatal(err)
	}
	before, err := store.Before(t.Context(), readerAt(func([]byte, int64) (int, error) {
		return 0, errBefore
	}), c.OriginBytes, old)
	if err != nil {
		t.Fatal(err)
	}
	fails = true
	for chunk := range uint64(c.OriginBytes / c.ChunkBytes) {
		n, err := before.ReadAt(make([]byte, c.ChunkBytes), int64(chunk)*c.ChunkBytes)
		if n != 0 || !errors.Is(err, errBefore) {
			t.Fatalf("chunk %d, listed: %v: %d bytes, error %v", chunk, old.Contains(chunk), n, err)
		}
	}
}

// Reads of any place and length give what reads of whole chunks do.
func TestBeforeReadsAnywhere(t *testing.T) {
	c, b := golden(t, "c64k-partial")
	store, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	old, err := store.Exceptions(t.Context(), c.OriginBytes, AllAreas)
	if err != nil {
		t.Fatal(err)
	}
	origin := bytes.Repeat([]byte("origin"), int(c.OriginBytes/6+1))[:c.OriginBytes]
	before, err := store.Before(t.Context(), bytes.NewReader(origin), c.OriginBytes, old)
	if err != nil {
		t.Fatal(err)
	}
	whole := make([]byte, c.OriginBytes)
	for off := int64(0); off < c.OriginBytes; off += c.ChunkBytes {
		if n, err := before.ReadAt(whole[off:min(off+c.ChunkBytes, c.OriginBytes)],
			off); err != nil {
			t.Fatal(n, err)
		}
	}
	for off := int64(512); off < c.OriginBytes; off += c.ChunkBytes {
		part := make([]byte, min(c.ChunkBytes+1024, c.OriginBytes-off))
		if _, err := before.ReadAt(part, off); err != nil ||
			!bytes.Equal(part, whole[off:off+int64(len(part))]) {
			t.Fatalf("%d bytes from byte %d on are others (%v)", len(part), off, err)
		}
	}
}
