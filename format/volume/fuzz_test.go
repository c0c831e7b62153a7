package volume

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cespare/xxhash/v2"

	"lvmsync/format"
	"lvmsync/format/internal/frame"
)

// reseal makes the checksums of index and trailer right that a mutation has made wrong.
func reseal(b []byte) []byte {
	b = bytes.Clone(b)
	end := len(b) - frame.PatchEndSize
	index := bytes.LastIndex(b, []byte("LVMINDEX")) - frame.HeaderSize
	if index < 0 || end < index+frame.SumSize {
		return b
	}
	seal := func(begin, end int) {
		at := end - frame.SumSize
		binary.LittleEndian.PutUint64(b[at:], xxhash.Sum64(b[begin:at]))
	}
	seal(index, end)
	seal(end, len(b))
	return b
}

// FuzzVolume: what is in the segments that can be read is what is read, and all else that an
// index can claim is an error.
func FuzzVolume(f *testing.F) {
	for _, pattern := range []string{"golden", "bad"} {
		names, err := filepath.Glob("../../testdata/" + pattern + "/*.lvmpatch")
		if err != nil || len(names) == 0 {
			f.Fatalf("no patches in %s: %v", pattern, err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			if len(b) < 8192 {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = reseal(b)
		file, err := format.OpenFile(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		o := Options{AcceptLost: true, Cache: 1 << 20}
		if file.Header().Kind != format.Full {
			o.Base, o.BaseSize = blank{}, file.Header().VolumeSize
		}
		v, err := Open([]Patch{{"it", file}}, o)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		for i := range min(len(file.Index()), 20) {
			checkSegment(t, v, file, i)
		}
	})
}

// checkSegment compares what a segment says with what is read at its first and its last extent.
func checkSegment(t *testing.T, v *Volume, file *format.File, i int) {
	const most = 1 << 16
	s, err := file.ReadSegment(i)
	if err != nil {
		e := file.Index()[i]
		for _, at := range []int64{e.Start, min(e.End, v.Size()) - 1} {
			if at < e.Start || at >= v.Size() {
				continue // behind the end that the last of merged patches left
			}
			n, err := v.ReadAt(make([]byte, 1), at)
			if n != 0 || !errors.Is(err, format.ErrCorrupt) {
				t.Fatalf("byte %d of a damaged segment: %d, %v", at, n, err)
			}
		}
		return
	}
	defer s.Release()
	number := 0
	for r, data := range s.All() {
		if number++; number > 4 && number < len(s.Records) {
			continue
		}
		r.Len = min(r.Len, v.Size()-r.Off) // a merged patch may have more than its last one left
		if r.Len <= 0 {
			break
		}
		got := make([]byte, min(r.Len, most))
		if data == nil {
			data = make([]byte, len(got))
		}
		n, err := v.ReadAt(got, r.Off)
		if n < len(got) || err != nil && err != io.EOF || !bytes.Equal(got, data[:len(got)]) {
			t.Fatalf("%v: %d, %v, or other bytes", r.Extent, n, err)
		}
		if e := v.Extent(r.Off); e.Kind != r.Kind || e.Len < 1 || e.Len > r.Len {
			t.Fatalf("%v is told as %v", r.Extent, e)
		}
	}
}
