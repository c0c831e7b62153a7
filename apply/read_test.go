package apply

import (
	"bytes"
	"testing"

	"lvmsync/format"
)

// What the destination holds in the extents of a segment is read in another way where
// they are long, near each other, small, not aligned, or past its end.
func TestReadExtents(t *testing.T) {
	var extents []format.Extent
	at := int64(0)
	add := func(gap int64, e format.Extent) {
		e.Off += at + gap
		at = e.End()
		extents = append(extents, e)
	}
	for _, size := range []int64{512, 4096, 12288, 100 << 10, directSize,
		directSize + 512, mib + 512} {
		for _, gap := range []int64{512, 4096, smallGap, smallGap + 512, mib} {
			add(gap, data(0, size))
			add(gap, zero(0, size))
			add(0, zero(0, 512))
			add(0, data(0, 512))
		}
	}
	for _, cut := range []int64{0, 512, mib, 3 * mib} {
		size := at - cut
		content := garbage(size)
		d, err := openDestination([]format.Header{{VolumeSize: size}}, Options{
			Destination: image(t, t.TempDir(), content), system: fake(&fakeSystem{}),
		}.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		defer d.f.Close()
		defer d.in.close()
		s := &format.Segment{}
		for _, e := range extents {
			s.Records = append(s.Records, format.Record{Extent: e})
			if e.Kind == format.Data {
				s.Data = append(s.Data, make([]byte, e.Len)...)
			}
		}
		old := alignedBuffer(len(s.Data))
		if err := d.readData(t.Context(), s, old); err != nil {
			t.Fatal(err)
		}
		zeros := spans{dest: d}
		zeros.ofZeros(s)
		for _, e := range extents {
			want := content[min(e.Off, size):min(e.End(), size)]
			var got []byte
			if e.Kind == format.Data {
				got, old = old[:len(want)], old[e.Len:]
			} else {
				got = make([]byte, len(want))
				if err := readFull(t.Context(), &zeros, got, e.Off); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, want) {
				t.Errorf("cut by %d: %v is not what the destination holds", cut, e)
			}
		}
	}
}
