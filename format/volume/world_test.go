package volume

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

// A model is a volume as bytes in memory, and what made each of them.
type model struct {
	data []byte
	from []int  // the patch, or one of the following
	lost []bool // nobody knows the byte
}

const (
	nothing = -1 - iota // ever wrote the byte, since the volume has it
	base                // has it
)

// resize does what happens to a volume: what is cut off is gone.
func (m *model) resize(size int64) {
	old := min(int64(len(m.data)), size)
	now := model{make([]byte, size), make([]int, size), make([]bool, size)}
	for i := range now.from {
		now.from[i] = nothing
	}
	copy(now.data, m.data[:old])
	copy(now.from, m.from[:old])
	copy(now.lost, m.lost[:old])
	*m = now
}

// put lays an extent of a patch over what there is; nil data are zeros.
func (m *model) put(patch int, r format.Record, data []byte) {
	clear(m.data[r.Off:r.End()])
	copy(m.data[r.Off:r.End()], data)
	for i := r.Off; i < r.End(); i++ {
		m.from[i], m.lost[i] = patch, r.Lost
	}
}

// A world is a chain, made up at random, and its model.
type world struct {
	testing.TB
	rnd     *rand.Rand
	patches [][]byte
	names   []string
	options Options
	model   model
}

// newWorld makes a chain of up to twelve patches.
func newWorld(t testing.TB, rnd *rand.Rand) *world {
	w := &world{TB: t, rnd: rnd}
	size := w.size()
	if rnd.IntN(2) == 0 {
		w.base(size)
		size = max(1, size+rnd.Int64N(8192)-4096)
	} else {
		w.add(format.Full, size)
	}
	for range 1 + rnd.IntN(11) {
		w.add([]format.Kind{format.Delta, format.Delta, format.Undo}[rnd.IntN(3)], size)
		switch rnd.IntN(6) { // what is cut off shall have room to come back
		case 0, 1:
			size += rnd.Int64N(size/2 + 4096)
		case 2:
			size -= rnd.Int64N(size)
		}
	}
	w.options.Cache = []int64{0, 1, 100 << 10, 2 << 20}[rnd.IntN(4)]
	w.options.AcceptLost = rnd.IntN(2) == 0
	return w
}

func (w *world) size() int64 { return 1 + w.rnd.Int64N(1<<(9+w.rnd.IntN(13))) }

func (w *world) base(size int64) {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(w.rnd.Uint32())
	}
	w.options.Base, w.options.BaseSize = bytes.NewReader(data), size
	w.model.resize(size)
	copy(w.model.data, data)
	for i := range w.model.from {
		w.model.from[i] = base
	}
}

// add adds a patch of a volume of that size to the chain.
func (w *world) add(kind format.Kind, size int64) {
	number := len(w.patches)
	h := patchtest.Header(kind, size)
	lossy := w.rnd.IntN(3) == 0
	if lossy {
		h.RequiredFeatures = []string{format.LostSectors}
	}
	exact := kind == format.Delta && w.rnd.IntN(2) == 0
	if exact {
		h.Base = &format.Base{Exact: true}
	}
	w.model.resize(size)
	var out bytes.Buffer
	writer, err := format.NewWriter(&out, h, format.WriterOptions{Level: w.rnd.IntN(2),
		Concurrency: 1})
	if err != nil {
		w.Fatal(err)
	}
	s := writer.NewSegment()
	for _, e := range w.extents(kind, size) {
		r := format.Record{Extent: e, HasBase: exact && w.rnd.IntN(2) == 0}
		var data []byte
		if e.Kind == format.Data {
			data = w.bytes(e.Len)
		} else if lossy && w.rnd.IntN(2) == 0 {
			r.Lost, r.HasBase = true, false
		}
		w.model.put(number, r, data)
		if len(s.Records) > 0 && w.rnd.IntN(8) == 0 || s.Add(r, data) != nil {
			s = w.write(writer, s)
			err = s.Add(r, data)
		}
		if err != nil {
			w.Fatal(err)
		}
	}
	if len(s.Records) > 0 {
		s = w.write(writer, s)
	}
	s.Release()
	if err := writer.Close(); err != nil {
		w.Fatal(err)
	}
	w.patches = append(w.patches, out.Bytes())
	w.names = append(w.names, fmt.Sprintf("patch %d", number))
}

func (w *world) write(to *format.Writer, s *format.Segment) *format.Segment {
	if err := to.Write(s); err != nil {
		w.Fatal(err)
	}
	return to.NewSegment()
}

// bytes are none that are told from zeros, or from one another, by luck.
func (w *world) bytes(n int64) []byte {
	data := bytes.Repeat([]byte{1 | byte(w.rnd.Uint32())}, int(n))
	for range n / 512 {
		data[w.rnd.Int64N(n)] = 1 | byte(w.rnd.Uint32())
	}
	return data
}

// extents makes up those of a patch: without gaps for a full one.
func (w *world) extents(kind format.Kind, size int64) (extents []format.Extent) {
	longest := int64(512 << w.rnd.IntN(12))
	gaps := int64(1 << w.rnd.IntN(6))
	sectors := func(n int64) int64 { return (n + 511) / 512 * 512 }
	for off := int64(0); off < size; {
		if kind != format.Full && w.rnd.IntN(3) > 0 {
			off = sectors(off + w.rnd.Int64N(longest*gaps))
		}
		e := format.Extent{Off: off, Kind: format.ExtentKind(w.rnd.IntN(2))}
		e.Len = min(size-off, sectors(1+w.rnd.Int64N(longest)))
		if e.Len > 0 {
			extents = append(extents, e)
		}
		off = e.End()
	}
	return extents
}

// files opens the patches.
func (w *world) files() (patches []Patch) {
	for i, b := range w.patches {
		patches = append(patches, Patch{w.names[i], patchtest.Open(w.TB, b)})
	}
	return patches
}

func (w *world) open(patches []Patch) *Volume {
	v, err := Open(patches, w.options)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { v.Close() })
	if v.Size() != int64(len(w.model.data)) {
		w.Fatalf("a volume of %d bytes, want %d", v.Size(), len(w.model.data))
	}
	return v
}
