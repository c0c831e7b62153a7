package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

// A model is a volume as bytes in memory, and what made each of them.
type model struct {
	data []byte
	from []int  // the patch, or nothing
	lost []bool // nobody knows the byte
}

const nothing = -1

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
		switch rnd.IntN(6) {
		case 0:
			size += rnd.Int64N(size + 4096)
		case 1:
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

// check reads a part of the volume and compares it with the model. Bad tells of bytes that a
// damaged segment can have hidden.
func (w *world) check(v *Volume, off, n int64, bad func(i int64) bool) error {
	size := int64(len(w.model.data))
	end, failing := min(size, off+n), false
	for i := off; i < end; i++ {
		if bad(i) || w.model.lost[i] && !w.options.AcceptLost {
			end, failing = i, true
		}
	}
	got := make([]byte, n)
	m, err := v.ReadAt(got, off)
	switch {
	case int64(m) != max(0, end-off):
		return fmt.Errorf("%d bytes at %d: %d, %v, want %d", n, off, m, err, end-off)
	case !bytes.Equal(got[:m], w.model.data[off:off+int64(m)]):
		return fmt.Errorf("%d bytes at %d: others", n, off)
	case !failing && off+n > size && err != io.EOF, !failing && off+n <= size && err != nil:
		return fmt.Errorf("%d bytes at %d of %d: %v", n, off, size, err)
	case failing && !bad(end) && !errors.Is(err, ErrLost):
		return fmt.Errorf("byte %d is lost: %v", end, err)
	case failing && bad(end) && !errors.Is(err, format.ErrCorrupt):
		return fmt.Errorf("byte %d is damaged: %v", end, err)
	}
	return nil
}

func never(int64) bool { return false }

// checkAll reads all of it, from one end to the other in pieces, and then here and there.
func (w *world) checkAll(v *Volume, rnd *rand.Rand, bad func(i int64) bool) error {
	step := 1 + rnd.Int64N(max(v.Size()/8, 64<<10))
	for off := int64(0); off < v.Size(); off += step {
		if err := w.check(v, off, step, bad); err != nil {
			return err
		}
	}
	for range 50 {
		n := rnd.Int64N(1 << rnd.IntN(18))
		if err := w.check(v, rnd.Int64N(v.Size()), n, bad); err != nil {
			return err
		}
	}
	return nil
}

// checkExtents goes through the extents, and compares what is told of a byte.
func (w *world) checkExtents(v *Volume) {
	for off := int64(0); off < v.Size(); {
		e := v.Extent(off)
		if e.Off != off || e.Len < 1 || e.End() > v.Size() {
			w.Fatalf("%v at byte %d", e, off)
		}
		for i := off; i < e.End(); i++ {
			switch known := !w.model.lost[i] || w.options.AcceptLost; {
			case e.Kind == format.Zero && (w.model.data[i] != 0 || !known),
				e.Kind == format.Data && known && w.model.data[i] == 0 &&
					(w.model.from[i] != nothing || w.options.Base == nil):
				w.Fatalf("%v, byte %d is %d", e, i, w.model.data[i])
			}
		}
		off = e.End()
	}
	if e := v.Extent(v.Size()); e.Len != 0 {
		w.Errorf("at the end: %v", e)
	}
	at := w.rnd.Int64N(v.Size())
	for _, kind := range []format.ExtentKind{format.Data, format.Zero} {
		next := v.Next(at, kind)
		if next < v.Size() && v.Extent(next).Kind != kind {
			w.Errorf("the next %v behind %d is at %d", kind, at, next)
		}
		for at < next {
			e := v.Extent(at)
			if e.Kind == kind {
				w.Fatalf("the next %v is at %d, not at %d", kind, at, next)
			}
			at = e.End()
		}
	}
}

// TestModel reads chains of all kinds of patches, whole ones and damaged ones, and compares
// what comes with bytes that were only copied.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			checkModel(t, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

func checkModel(t *testing.T, rnd *rand.Rand) {
	w := newWorld(t, rnd)
	v := w.open(w.files())
	if err := w.checkAll(v, rnd, never); err != nil {
		t.Fatal(err)
	}
	w.checkExtents(v)
	for range 3 {
		w.checkDamaged()
	}
}

// checkDamaged flips a bit of a segment: every byte that it can have is an error, and no other.
func (w *world) checkDamaged() {
	patches := w.files()
	number := w.rnd.IntN(len(patches))
	file, patch := patches[number].File, w.patches[number]
	index := file.Index()
	if len(index) == 0 {
		return
	}
	i := w.rnd.IntN(len(index))
	end := int64(bytes.LastIndex(patch, []byte("LVMINDEX")) - 8)
	if i+1 < len(index) {
		end = index[i+1].Offset
	}
	at := index[i].Offset + w.rnd.Int64N(end-index[i].Offset)
	was := patch[at]
	patch[at] ^= 1 << w.rnd.IntN(8)
	defer func() { patch[at] = was }()
	if s, err := file.ReadSegment(i); err == nil {
		s.Release() // zstd has bits that say nothing
		return
	}
	cut := int64(1) << 62
	for _, p := range patches[number:] {
		cut = min(cut, p.File.Header().VolumeSize)
	}
	bad := func(at int64) bool {
		return at >= index[i].Start && at < min(index[i].End, cut) && w.model.from[at] <= number
	}
	v := w.open(patches)
	if err := w.checkAll(v, w.rnd, bad); err != nil {
		w.Fatalf("segment %d of patch %d damaged at byte %d: %v", i, number, at, err)
	}
	var segment *SegmentError
	var corrupt *format.CorruptError
	for at := range v.Size() {
		if !bad(at) || w.model.lost[at] {
			continue
		}
		_, err := v.ReadAt(make([]byte, 1), at)
		if !errors.As(err, &segment) || segment.Segment != i ||
			segment.Patch != w.names[number] || !errors.As(err, &corrupt) {
			w.Fatalf("segment %d of patch %d is damaged: %v", i, number, err)
		}
		break
	}
}
