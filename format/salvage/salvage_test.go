package salvage

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

// undoInSegments is an undo patch of data in n segments of 64 KiB, with the places where
// these begin, and where the last one ends.
func undoInSegments(t *testing.T, n int, fill func(i int, data []byte)) (b []byte, h format.Header,
	places []int64) {
	t.Helper()
	const each = 64 << 10
	h = patchtest.Header(format.Undo, int64(n)*each)
	h.Base = &format.Base{Exact: true}
	var out bytes.Buffer
	w, err := format.NewWriter(&out, h, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		places = append(places, int64(out.Len()))
		s := w.NewSegment()
		s.Records = append(s.Records,
			format.Record{Extent: format.Extent{Off: int64(i) * each, Len: each}, HasBase: true})
		s.Data = s.Data[:each]
		clear(s.Data)
		fill(i, s.Data)
		if err := errors.Join(w.Write(s), w.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	w.Abort()
	return out.Bytes(), h, append(places, int64(out.Len()))
}

// salvage returns the places of the segments behind the damage.
func salvaged(t *testing.T, b []byte, h format.Header, damage, end int64) (places []int64,
	missed int64, err error) {
	t.Helper()
	s, err := NewReader(bytes.NewReader(b), int64(len(b)), h, damage, end)
	if err != nil {
		t.Fatal(err)
	}
	for {
		segment, err := s.Next()
		if err != nil {
			return places, s.Missed(), err
		}
		places = append(places, segment.Offset)
	}
}

// What is whole behind the damage is found, wherever that is, and what is missing is
// counted to the byte. A segment within the data of another one is not taken for one of
// the patch's as long as the frame around it can be followed.
func TestSalvage(t *testing.T) {
	small := patchtest.Write(t, patchtest.Header(format.Delta, 1<<20),
		[]format.Record{{Extent: format.Extent{Off: 512 << 10, Len: 512}}})
	fill := func(i int, data []byte) {
		copy(data, small)
		copy(data[32<<10:], "(\xb5/\xfd(\xb5/\xfd(\xb5(\xb5/\xfd")
	}
	patch, h, places := undoInSegments(t, 8, fill)
	for name, test := range map[string]struct {
		at   int64
		edit func(b []byte, at int64) []byte
		want []int64
	}{
		"data": {places[2], func(b []byte, at int64) []byte { b[at+5000] ^= 1; return b },
			places[3:8]},
		"two": {places[2],
			func(b []byte,
				at int64) []byte {
				b[at+5000] ^= 1
				b[places[4]+70] ^= 1
				return b
			},
			[]int64{places[3], places[5], places[6], places[7]}},
		"hole": {places[2],
			func(b []byte, at int64) []byte { clear(b[at : places[4]+1]); return b }, places[5:8]},
		"cut": {places[6], func(b []byte, at int64) []byte { return b[:at+100] }, nil},
		"end": {places[8], func(b []byte, at int64) []byte { return b }, nil},
		"few bytes": {places[8], func(b []byte, at int64) []byte { return append(b, "(\xb5/"...) },
			nil},
		"last magic": {places[8],
			func(b []byte, at int64) []byte { return append(b, "x(\xb5/\xfd"...) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := test.edit(slices.Clone(patch), test.at)
			index := int64(slices.Index(places, test.at))
			got, missed, err := salvaged(t, b, h, test.at, index*64<<10)
			if err != io.EOF {
				t.Fatal(err)
			}
			if name == "hole" { // what is in the data of the second one may come first
				got = slices.DeleteFunc(got,
					func(p int64) bool { return !slices.Contains(places, p) })
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("found %d, want %d", got, test.want)
			}
			want := int64(len(b)) - test.at
			for _, p := range test.want {
				want -= places[slices.Index(places, p)+1] - p
			}
			if name != "hole" && missed != want {
				t.Errorf("%d bytes are missing, want %d", missed, want)
			}
		})
	}
}

// Extents that don't follow those before are of something else.
func TestKeepsOrder(t *testing.T) {
	patch, h, places := undoInSegments(t, 4, func(int, []byte) {})
	b := slices.Concat(patch[:places[2]], []byte("damage"), patch[places[1]:places[2]],
		patch[places[3]:])
	got, missed, err := salvaged(t, b, h, places[2], 128<<10)
	if want := places[2] + 6 + places[2] - places[1]; err != io.EOF || len(got) != 1 ||
		got[0] != want || missed != want-places[2] {
		t.Errorf("found %d, missed %d, %v; want %d", got, missed, err, want)
	}
}

// A file of which every few bytes look like a large segment is given up.
func TestGivesUp(t *testing.T) {
	// A frame of one block that repeats a byte: 20 bytes claim 4 MiB, whose checksum is wrong.
	bomb := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa4, 0, 0, 0x40, 0}
	for range 32 {
		bomb = append(bomb, 0x02, 0, 0x10, 'x')
	}
	bomb[len(bomb)-4] |= 1
	bomb = append(bomb, 0, 0, 0, 0)
	h := patchtest.Header(format.Undo, 1<<30)
	b := bytes.Repeat(bomb, 4000)
	if got, _, err := salvaged(t, b, h, 0, 0); !errors.Is(err, ErrTooMuch) || len(got) > 0 {
		t.Errorf("found %d, error %v", got, err)
	}
}

// What can't be read is no damage.
func TestReadError(t *testing.T) {
	patch, h, places := undoInSegments(t, 4, func(int, []byte) {})
	s, err := NewReader(bytes.NewReader(patch[:places[3]]), int64(len(patch)), h, places[1], 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = s.Next()
	}
	if err == io.EOF || errors.Is(err, format.ErrCorrupt) {
		t.Errorf("error %v", err)
	}
}
