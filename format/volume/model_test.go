package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"lvmsync/format"
)

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
				e.Kind == format.Data && known && w.model.data[i] == 0 && w.model.from[i] != base:
				w.Fatalf("%v, byte %d is %d", e, i, w.model.data[i])
			}
		}
		off = e.End()
	}
	if e := v.Extent(v.Size()); e.Len != 0 {
		w.Errorf("at the end: %v", e)
	}
	w.checkHole(v)
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

// checkHole looks for the next hole: it is one, and no long one lies before it.
func (w *world) checkHole(v *Volume) {
	at := w.rnd.Int64N(v.Size())
	hole, err := v.Hole(w.Context(), at)
	if err != nil || hole < at || hole < v.Size() && v.Extent(hole).Kind != format.Zero {
		w.Fatalf("behind %d the next hole is at %d, %v", at, hole, err)
	}
	for at < hole {
		e := v.Extent(at)
		if e.Kind == format.Zero && e.Len > 256<<10 {
			w.Fatalf("%v is before the next hole, at %d", e, hole)
		}
		at = e.End()
	}
}

// TestModel reads chains of all kinds of patches, whole ones and damaged ones, and compares
// what comes with bytes that were only copied.
func TestModel(t *testing.T) {
	for seed := range uint64(100) {
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
