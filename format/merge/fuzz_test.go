package merge

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format"
	"lvmsync/format/internal/frame"
	"lvmsync/format/walk"
)

// mostVolume is how large the volumes are whose bytes are compared.
const mostVolume = 4 << 20

// reseal makes the checksums of a patch right that a mutation has made wrong.
func reseal(b []byte) []byte {
	b = bytes.Clone(b)
	end := len(b) - frame.PatchEndSize
	index := bytes.LastIndex(b, []byte("LVMINDEX")) - frame.HeaderSize
	if index < frame.HeaderSize+frame.SumSize || end < index+frame.SumSize {
		return b
	}
	seal := func(begin, end int) {
		at := end - frame.SumSize
		binary.LittleEndian.PutUint64(b[at:], xxhash.Sum64(b[begin:at]))
	}
	head := frame.HeaderSize + int(binary.LittleEndian.Uint32(b[4:]))
	if head > frame.SumSize && head <= index {
		seal(0, head)
	}
	seal(index, end)
	binary.LittleEndian.PutUint64(b[end+frame.HeaderSize+48:], xxhash.Sum64(b[:end]))
	seal(end, len(b))
	return b
}

// read is a patch as an input, nil if it isn't whole, and whether it has lost extents.
func read(b []byte) (in *Input, lost bool) {
	r, err := format.NewReader(bytes.NewReader(b), format.ReaderOptions{FrameSums: true})
	if err != nil {
		return nil, false
	}
	defer r.Close()
	in = new(Input)
	for {
		s, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, false
		}
		in.Briefs = append(in.Briefs, format.BriefOf(s))
		for _, x := range s.Records {
			lost = lost || x.Lost
		}
		s.Release()
	}
	in.File, err = format.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, false
	}
	return in, lost
}

// FuzzMerge: of whatever two patches are right by themselves, either one is made that is right
// and has the bytes of both, or none that is whole.
func FuzzMerge(f *testing.F) {
	names, err := filepath.Glob("../../testdata/golden/*.lvmpatch")
	if err != nil || len(names) == 0 {
		f.Fatalf("no patches: %v", err)
	}
	var patches [][]byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 4096 {
			patches = append(patches, b)
		}
	}
	for i, p := range patches {
		f.Add(p, patches[(i+1)%len(patches)], false)
		f.Add(p, patches[(i+len(patches)/2)%len(patches)], true)
	}
	f.Fuzz(func(t *testing.T, a, b []byte, anew bool) { checkMerge(t, reseal(a), reseal(b), anew) })
}

func checkMerge(t *testing.T, a, b []byte, anew bool) {
	first, lost := read(a)
	last, lostToo := read(b)
	if first == nil || last == nil {
		return
	}
	inputs := []Input{*first, *last}
	samples := NewSamples([]format.Header{first.File.Header(), last.File.Header()})
	for _, in := range inputs {
		for _, e := range in.File.Index() {
			samples.Touch(format.Extent{Off: e.Start, Len: e.End - e.Start})
		}
	}
	h, err := Header(inputs, samples.Fingerprint(), lost || lostToo, Made{})
	if err != nil {
		return
	}
	var out bytes.Buffer
	w, err := Write(t.Context(), &out, h, inputs, Options{Level: 1, Anew: anew})
	if err != nil {
		t.Log(err)
		return
	}
	_, totals, err := format.Verify(bytes.NewReader(out.Bytes()))
	if err != nil || totals != w.Totals || int64(out.Len()) != w.Size {
		t.Fatalf("merged: %v; %+v, written %+v", err, totals, w)
	}
	merged, err := format.OpenFile(bytes.NewReader(out.Bytes()), w.Size)
	if err != nil {
		t.Fatal(err)
	}
	if h.VolumeSize <= mostVolume &&
		!bytes.Equal(lay(t, h.VolumeSize, merged), lay(t, h.VolumeSize, first.File, last.File)) {
		t.Fatal("merged: other bytes")
	}
}

// lay lays the extents of patches over zeros.
func lay(t *testing.T, size int64, files ...*format.File) []byte {
	b := make([]byte, size)
	m := walk.NewMerge(files...)
	for {
		s, err := m.Next()
		if err == io.EOF {
			return b
		}
		if err != nil {
			t.Fatal(err)
		}
		for r, data := range s.All() {
			clear(b[r.Off:r.End()])
			copy(b[r.Off:r.End()], data)
		}
		s.Release()
	}
}
