package apply

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
)

// What the check of the bases finds is what comparing each patch with a copy of each state
// finds, whatever sizes the extents have, and whether the hashes are right or not. Of one
// patch that is also what is found segment by segment.
func TestBaseModel(t *testing.T) {
	right, wrongExtents, wrongSamples := 0, 0, 0
	for seed := range uint64(300) {
		r := baseRound{Rand: rand.New(rand.NewPCG(seed, 0))}
		r.size = 512 * (1 + r.Int64N(64))
		if seed%100 == 0 {
			r.size = 3*pieceSize + 1536
		}
		states := [][]byte{garbage(r.size)}
		for range 1 + r.IntN(4) {
			states = append(states, r.addPatch(states[len(states)-1]))
		}
		there := r.there(states)
		want := r.compareStates(there)
		for _, got := range r.check(t, there) {
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d: %v, want %v", seed, got, want)
			}
		}
		switch e, _ := want.(*BaseError); {
		case e == nil:
			right++
		case e.Samples > 0:
			wrongSamples++
		default:
			wrongExtents++
		}
	}
	if min(right, wrongExtents, wrongSamples) < 20 {
		t.Errorf("right %d, wrong extents %d, wrong samples %d: too few",
			right, wrongExtents, wrongSamples)
	}
}

// A baseRound is a volume and patches of it, that follow one another.
type baseRound struct {
	*rand.Rand
	size    int64
	patches []basePatch
}

type basePatch struct {
	records []format.Record
	data    []byte
	samples format.Fingerprint
}

// addPatch makes up a patch and returns what it leads to.
func (r *baseRound) addPatch(before []byte) (after []byte) {
	var p basePatch
	after = bytes.Clone(before)
	for at := 512 * r.Int64N(3); at < r.size; at += 512 * (r.Int64N(r.size/512) / 4) {
		size := min(512*(1+r.Int64N(1+r.size/1024)), r.size-at)
		x := format.Record{Extent: format.Extent{Off: at, Len: size}}
		if x.HasBase = r.IntN(4) > 0; x.HasBase {
			x.BaseHash = r.hash(before[x.Off:x.End()], 300)
		}
		if x.Kind = format.ExtentKind(r.IntN(2)); x.Kind == format.Zero {
			clear(after[x.Off:x.End()])
		} else {
			copy(after[x.Off:x.End()], random(byte(r.IntN(200)), int(x.Len)))
			p.data = append(p.data, after[x.Off:x.End()]...)
		}
		p.records = append(p.records, x)
		at = x.End()
	}
	for at := 512 * r.Int64N(8); at+format.SampleSize <= r.size; {
		hash := format.Hash(r.hash(before[at:at+format.SampleSize], 8))
		p.samples = append(p.samples, format.Sample{Offset: at, Hash: hash})
		at += format.SampleSize + 512*r.Int64N(1+r.size/1024)
	}
	r.patches = append(r.patches, p)
	return after
}

// hash is mostly that of b, and a wrong one once in a while.
func (r *baseRound) hash(b []byte, oneIn int) uint64 {
	if r.IntN(oneIn) == 0 {
		return 1
	}
	return xxhash.Sum64(b)
}

// there makes up what the destination holds: the base, or parts of what comes later.
func (r *baseRound) there(states [][]byte) []byte {
	there := bytes.Clone(states[0])
	for range r.IntN(4) {
		from := 512 * r.Int64N(r.size/512)
		copy(there[from:], states[r.IntN(len(states))][from:from+1+r.Int64N(r.size-from)])
	}
	return there
}

// compareStates is the model of the check.
func (r *baseRound) compareStates(there []byte) error {
	states := [][]byte{there}
	for _, p := range r.patches {
		after, data := bytes.Clone(states[len(states)-1]), p.data
		for _, x := range p.records {
			clear(after[x.Off:x.End()])
			if x.Kind == format.Data {
				copy(after[x.Off:], data[:x.Len])
				data = data[x.Len:]
			}
		}
		states = append(states, after)
	}
	for i, p := range r.patches {
		e := &BaseError{}
		if i > 0 {
			e.Patch = fmt.Sprint(i)
		}
		for _, s := range p.samples {
			holds := s.Holds(states[i][s.Offset : s.Offset+format.SampleSize])
			if holds || !touched(r.patches[i+1:], s.Offset) {
				e.Of++
				if !holds {
					e.Samples++
				}
			}
		}
		if e.Samples > 0 {
			return e
		}
		e.Of = 0
		for _, x := range p.records {
			in := func(state []byte) []byte { return state[x.Off:x.End()] }
			isThere := func(state []byte) bool { return bytes.Equal(in(state), in(there)) }
			if x.HasBase && xxhash.Sum64(in(states[i])) != x.BaseHash &&
				!slices.ContainsFunc(states[i+1:], isThere) {
				if e.Count++; e.Count <= shownExtents {
					e.Extents = append(e.Extents, x.Extent)
				}
			}
		}
		if e.Count > 0 {
			return e
		}
	}
	return nil
}

// touched tells whether one of the patches has a part of a sample.
func touched(patches []basePatch, off int64) bool {
	return slices.ContainsFunc(patches, func(p basePatch) bool {
		return slices.ContainsFunc(p.records, func(x format.Record) bool {
			return x.Off < off+format.SampleSize && off < x.End()
		})
	})
}

// check checks the bases, of one patch in both ways.
func (r *baseRound) check(t *testing.T, there []byte) (found []error) {
	d, err := openDestination([]format.Header{{VolumeSize: r.size}}, Options{
		Destination: image(t, quickDir(t), there), system: fake(&fakeSystem{}),
	}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer d.f.Close()
	defer d.in.close()
	c := &chain{}
	for i, p := range r.patches {
		encoded := r.encode(t, p)
		f, err := format.OpenFile(bytes.NewReader(encoded), int64(len(encoded)))
		if err != nil {
			t.Fatal(err)
		}
		c.files = append(c.files, f)
		c.patches = append(c.patches, &input{name: fmt.Sprint(i), header: f.Header(),
			hasBase: slices.ContainsFunc(p.records,
				func(x format.Record) bool { return x.HasBase })})
	}
	check := newBaseCheck(d, c, false)
	if err := check.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	found = []error{check.result()}
	if len(c.files) > 1 {
		return found
	}
	check = newBaseCheck(d, c.patches[0].alone(), false)
	if err := check.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range c.files[0].Index() {
		s, err := c.files[0].ReadSegment(i)
		if err == nil {
			err = check.segment(t.Context(), s)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return append(found, check.result())
}

// encode writes a patch, a few extents a segment.
func (r *baseRound) encode(t *testing.T, p basePatch) []byte {
	var out bytes.Buffer
	w, err := format.NewWriter(&out, format.Header{ID: uuid.New(), Kind: format.Delta,
		VolumeSize: r.size, Granularity: 512,
		Base: &format.Base{Exact: true, Fingerprint: p.samples}}, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data := p.data
	for part := range slices.Chunk(p.records, 1+r.IntN(2)) {
		s := w.NewSegment()
		for _, x := range part {
			s.Records = append(s.Records, x)
			if x.Kind == format.Data {
				s.Data, data = append(s.Data, data[:x.Len]...), data[x.Len:]
			}
		}
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What no later patch asks for is passed over, not gone through: it may be larger than
// any disk.
func TestBaseOfHoles(t *testing.T) {
	const size = 1 << 60
	full := newVolume(format.Full, size, []format.Extent{zero(0, size)})
	full.header.Created = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	delta := newVolume(format.Delta, size, []format.Extent{zero(mib, size/2)})
	delta.header.ID[0], delta.header.Created = 1, time.Now()
	delta.header.Base = &format.Base{Fingerprint: format.Fingerprint{
		{Offset: 4096, Hash: format.Hash(xxhash.Sum64(zeros[:format.SampleSize]))},
		{Offset: size - format.SampleSize, Hash: 1},
	}}
	a, _ := full.patch(t)
	b, _ := delta.patch(t)
	_, _, err := verify(t, files(a, b)...)
	if want := (&BaseError{Patch: "b", Samples: 1, Of: 2}); !reflect.DeepEqual(err, error(want)) {
		t.Errorf("%v, want %v", err, want)
	}
}
