package walk

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

// A Cursor that keeps a part of a segment is, whatever is asked of it, where one is that keeps all.
func TestLean(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		files, layers := randomFiles(t, rnd, 1)
		size := int64(len(layers[0].data))
		whole := NewCursor(files[0])
		part := newCursors(&lean{room: 1 << rnd.IntN(16)}, files)[0]
		for pos := int64(0); ; {
			x, ok := whole.Off()
			if y, ok2 := part.Off(); x != y || ok != ok2 {
				t.Fatalf("seed %d: at byte %d, %t, not %d, %t", seed, y, ok2, x, ok)
			}
			if i, e, ok := part.Segment(); ok {
				if j, f, ok := whole.Segment(); !ok || i != j || e != f {
					t.Fatalf("seed %d: before segment %d, not %d, %t", seed, i, j, ok)
				}
			}
			if rnd.IntN(3) > 0 {
				err, err2 := whole.Load(), part.Load()
				if err == io.EOF && err2 == io.EOF {
					break
				}
				if err != err2 || whole.Rest != part.Rest || whole.IsWhole() != part.IsWhole() {
					t.Fatalf("seed %d: %+v, %v, not %+v, %v", seed, part.Rest, err2,
						whole.Rest, err)
				}
				sameData(t, part, whole.Data)
				if _, more := part.Loaded(); !more && part.Rest.End() < lastEnd(files[0]) &&
					part.record == len(part.current.Records) {
					t.Fatalf("seed %d: nothing more behind %v", seed, part.Rest.Extent)
				}
			}
			pos = roundToSector(max(pos, x) + rnd.Int64N(1+size/16))
			for _, c := range []*Cursor{whole, part} {
				if err := c.SkipTo(pos); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// What is read once more is checked once more, and must be what it was before.
func TestLeanChanged(t *testing.T) {
	large := func(fill byte) []byte {
		return patchtest.Write(t, patchtest.Header(format.Delta, 64<<10),
			[]format.Record{{Extent: data(0, 32<<10), HasBase: true, BaseHash: uint64(fill)}})
	}
	good := large(0)
	damaged := bytes.Clone(good)
	damaged[patchtest.Open(t, good).Index()[0].Offset+60] ^= 1
	for _, tt := range []struct {
		then []byte
		want error
	}{{damaged, format.ErrCorrupt}, {large(1), errChanged}} {
		patch := bytes.Clone(good)
		c := newCursors(&lean{room: format.SectorSize}, []*format.File{patchtest.Open(t, patch)})[0]
		if err := c.SkipTo(8192); err != nil || c.Rest.Off != 8192 {
			t.Fatalf("at byte %d: %v", c.Rest.Off, err)
		}
		copy(patch, tt.then)
		c.lean.held = held{} // as if others had been read
		for range 2 {
			if err := c.Fill(); !errors.Is(err, tt.want) || len(c.Data) > 0 {
				t.Errorf("Fill: %v with %d bytes, not %v", err, len(c.Data), tt.want)
			}
			if got, err := c.First(512); !errors.Is(err, tt.want) || got != nil {
				t.Errorf("First: %v with %d bytes, not %v", err, len(got), tt.want)
			}
			copy(patch, good) // an error stays
		}
	}
}

// sameData checks what a Cursor at an extent gives of its data.
func sameData(t *testing.T, c *Cursor, want []byte) {
	t.Helper()
	if err := c.Fill(); err != nil {
		t.Fatal(err)
	}
	if len(c.Data) > len(want) || len(want) > 0 && len(c.Data) == 0 ||
		!bytes.Equal(c.Data, want[:len(c.Data)]) {
		t.Errorf("%d bytes of data of %v that differ from %d", len(c.Data), c.Rest.Extent,
			len(want))
	}
	if data, err := c.First(int64(len(want))); err != nil || !bytes.Equal(data, want) {
		t.Errorf("all data of %v differ: %v", c.Rest.Extent, err)
	}
}

// lastEnd is where the last extent of a patch ends.
func lastEnd(f *format.File) int64 { return f.Index()[len(f.Index())-1].End }
