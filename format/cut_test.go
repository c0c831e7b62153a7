package format

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format/internal/frame"
)

// readers are the two ways of reading a whole patch.
var readers = map[string]func([]byte) (*content, error){
	"Reader": func(b []byte) (*content, error) { return readStream(bytes.NewReader(b)) },
	"File":   readFile,
}

// cutPatches are small, so that every byte of them can be tried.
func cutPatches(t testing.TB) map[string][]byte {
	h := testHeader(Delta, 1100)
	segments := [][]Extent{{{0, 512, Zero}}, {{512, 512, Zero}, {1024, 76, Data}}}
	return map[string][]byte{
		"stored":     write(t, h, WriterOptions{}, segments...),
		"compressed": write(t, h, WriterOptions{Level: 1}, segments...),
		"empty":      write(t, h, WriterOptions{}),
	}
}

func TestCutEverywhere(t *testing.T) {
	for name, patch := range cutPatches(t) {
		for way, read := range readers {
			for n := range patch {
				_, err := read(patch[:n:n])
				switch {
				case n == 0 && verdict(err) != "not a patch", n > 0 && verdict(err) != "truncated":
					t.Fatalf("%s, %s, %d of %d bytes: %v", name, way, n, len(patch), err)
				case n > 0 && (!errors.Is(err, ErrCorrupt) || !errors.Is(err, io.ErrUnexpectedEOF)):
					t.Fatalf("%s, %s, %d bytes: %v is not corrupt, or not an unexpected end",
						name, way, n, err)
				case errors.Is(err, io.EOF):
					t.Fatalf("%s, %s, %d bytes: %v is io.EOF", name, way, n, err)
				}
			}
			if _, err := read(patch); err != nil {
				t.Errorf("%s, %s, not cut: %v", name, way, err)
			}
		}
	}
}

func TestFlipEveryBit(t *testing.T) {
	typed := []error{ErrCorrupt, ErrNotPatch, ErrVersion}
	for name, patch := range cutPatches(t) {
		for way, read := range readers {
			want, err := read(patch)
			if err != nil {
				t.Fatal(err)
			}
			for bit := range 8 * len(patch) {
				patch[bit/8] ^= 1 << (bit % 8)
				got, err := read(patch)
				patch[bit/8] ^= 1 << (bit % 8)
				if err == nil {
					// Only a File may miss it, where it changes nothing that it returns.
					if way == "Reader" || !got.equal(want) {
						t.Fatalf("%s, %s, bit %d of byte %d: nobody noticed",
							name, way, bit%8, bit/8)
					}
					continue
				}
				if errors.Is(err, io.EOF) ||
					!slices.ContainsFunc(typed, func(e error) bool { return errors.Is(err, e) }) {
					t.Fatalf("%s, %s, bit %d of byte %d: %v", name, way, bit%8, bit/8, err)
				}
			}
		}
	}
}

// A patch of a volume that holds a patch has a second trailer in its middle: cut
// there, it ends like a whole patch.
func TestCutAfterInnerPatch(t *testing.T) {
	inner := smallPatch(t, 0)
	inner = append(inner, make([]byte, 512-len(inner)%512)...)
	p := deltaPatch()
	p.segments = []*rawSegment{newRaw(Extent{0, int64(len(inner)), Data})}
	copy(p.segments[0].data, inner)
	p.segments[0].records[0].Hash = xxhash.Sum64(inner)
	outer := p.bytes(t)
	if _, err := readStream(bytes.NewReader(outer)); err != nil {
		t.Fatal(err)
	}
	end := bytes.Index(outer, []byte(frame.PatchEndMagic)) - frame.HeaderSize + frame.PatchEndSize
	for way, read := range readers {
		if _, err := read(outer[:end]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", way, err)
		}
	}
}
