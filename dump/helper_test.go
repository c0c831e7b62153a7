package dump

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"lvmsync/format"
)

var errTest = errors.New("it went wrong")

// A fakeSource is a volume and what has changed on it.
type fakeSource struct {
	volume  []byte
	extents []format.Extent
	listErr error // comes after the extents
	check   func(context.Context) error
	readAt  func(p []byte, off int64) (int, error) // nil: reads volume
	base    []byte                                 // nil: it can't be read, and nothing is sampled
}

func (s *fakeSource) source() Source {
	src := Source{
		Header: format.Header{
			Kind:        format.Delta,
			Source:      format.Source{Type: "file", Path: "/volume"},
			VolumeSize:  int64(len(s.volume)),
			Granularity: 512,
		},
		Extents:    s.list,
		Data:       readerAt(s.read),
		SectorSize: sector,
		Check:      s.check,
		Close:      func() error { return nil },
	}
	if s.check == nil {
		src.Check = func(context.Context) error { return nil }
	}
	if s.base != nil {
		src.Base = held{bytes.NewReader(s.base)}
		src.Unchanged = src.Base
	}
	return src
}

func (s *fakeSource) list(yield func(format.Extent, error) bool) {
	for _, e := range s.extents {
		if !yield(e, nil) {
			return
		}
	}
	if s.listErr != nil {
		yield(format.Extent{}, s.listErr)
	}
}

func (s *fakeSource) read(p []byte, off int64) (int, error) {
	if s.readAt != nil {
		return s.readAt(p, off)
	}
	return bytes.NewReader(s.volume).ReadAt(p, off)
}

// A readerAt is a Reader that nothing makes faster.
type readerAt func(p []byte, off int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
func (f readerAt) WillNeed(off, n int64)                   {}

// held is a base in memory.
type held struct{ *bytes.Reader }

func (held) WillNeed(off, n int64) {}

// noise is a volume of size bytes, 20 MiB at most, with no zero in it.
func noise(size int) []byte { return bytes.Clone(allNoise()[:size]) }

var allNoise = sync.OnceValue(func() []byte {
	b := make([]byte, 20*mib)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	for i := range b {
		b[i] |= 1
	}
	return b
})

// data lists data extents: offset, length, offset, length...
func data(numbers ...int64) []format.Extent {
	var list []format.Extent
	for i := 0; i < len(numbers); i += 2 {
		list = append(list, format.Extent{Off: numbers[i], Len: numbers[i+1]})
	}
	return list
}

// every lists the data extents of n bytes at each step of a volume.
func every(step, n, size int64) []format.Extent {
	var list []format.Extent
	for off := int64(0); off+n <= size; off += step {
		list = append(list, format.Extent{Off: off, Len: n})
	}
	return list
}

// garbage is what a destination may hold beforehand.
func garbage(size int) []byte { return bytes.Repeat([]byte{0xa5}, size) }

// expected is what garbage becomes when the extents of a source are copied.
func (s *fakeSource) expected() []byte {
	volume := garbage(len(s.volume))
	for _, e := range s.extents {
		if e.Kind == format.Zero {
			clear(volume[e.Off:e.End()])
		} else {
			copy(volume[e.Off:e.End()], s.volume[e.Off:e.End()])
		}
	}
	return volume
}
