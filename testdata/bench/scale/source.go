package main

import (
	"context"
	"io"
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
	_, err := dump.Run(context.Background(), s.source(), io.Discard,
		dump.Options{Level: level, Tool: "scale"})
	return err
}

func (s *source) source() dump.Source {
	return dump.Source{
		Header: format.Header{
			Kind:        format.Delta,
			Source:      format.Source{Type: "device", Path: "/dev/null"},
			VolumeSize:  s.size,
			Granularity: s.chunk,
			Planned:     &format.Planned{Extents: s.changes, Bytes: s.changes * s.chunk},
		},
		Extents:    s.extents,
		Data:       s,
		SectorSize: format.SectorSize,
		Unchanged:  s,
		Check:      func(context.Context) error { return nil },
		Close:      func() error { return nil },
	}
}

func (s *source) extents(yield func(format.Extent, error) bool) {
	for k := range s.changes {
		if !yield(format.Extent{Off: k * every * s.chunk, Len: s.chunk}, nil) {
			return
		}
	}
}

// ReadAt reads the text over and over, as if the changed chunks lay side by side.
func (s *source) ReadAt(p []byte, off int64) (int, error) {
	within := off % s.chunk
	s.text.read(p, off/s.chunk/every*s.chunk+within)
	return len(p), nil
}

// WillNeed implements [dump.Reader].
func (s *source) WillNeed(off, n int64) {}
