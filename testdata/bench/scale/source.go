package main

import (
	"context"
	"io"
	"iter"
	"runtime/debug"

	"lvmsync/dump"
	"lvmsync/format"
)

// A source is a volume of which every hundredth chunk has changed to text, all made up
// when it's read.
type source struct {
	size, chunk, changes int64
	text                 text
}

// dumpMadeUp dumps such a volume into nothing, as lvmsync-dump does.
func dumpMadeUp(size, chunk int64, level int, changed bool) error {
	debug.SetGCPercent(25) // as the program has it
	s := &source{size, chunk, 0, newText()}
	if changed {
		s.changes = changes(size, chunk)
	}
	_, err := dump.Run(context.Background(), s, io.Discard, dump.Options{Level: level, Tool: "scale"})
	return err
}

func (s *source) Header() format.Header {
	return format.Header{
		Kind:        format.Delta,
		Source:      format.Source{Type: "device", Path: "/dev/null"},
		VolumeSize:  s.size,
		Granularity: s.chunk,
		Planned:     &format.Planned{Extents: s.changes, Bytes: s.changes * s.chunk},
	}
}

func (s *source) Extents() iter.Seq2[format.Extent, error] {
	return func(yield func(format.Extent, error) bool) {
		for k := range s.changes {
			if !yield(format.Extent{Off: k * every * s.chunk, Len: s.chunk}, nil) {
				return
			}
		}
	}
}

// ReadAt reads the text over and over, as if the changed chunks lay side by side.
func (s *source) ReadAt(p []byte, off int64) (int, error) {
	within := off % s.chunk
	s.text.read(p, off/s.chunk/every*s.chunk+within)
	return len(p), nil
}

func (s *source) Inputs() dump.Inputs         { return nil }
func (s *source) Base() dump.Base             { return nil }
func (s *source) Unchanged() io.ReaderAt      { return s }
func (s *source) Check(context.Context) error { return nil }
func (s *source) Close() error                { return nil }
