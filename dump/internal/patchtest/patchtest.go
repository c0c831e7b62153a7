// Package patchtest tells what patches do to a volume, by nothing but their format.
package patchtest

import (
	"io"
	"testing"

	"lvmsync/format"
)

// LayOver writes what a patch holds over a volume in memory, and returns the extents of each of its
// segments.
func LayOver(t testing.TB, volume []byte, patch io.Reader) (segments [][]format.Extent) {
	t.Helper()
	r, err := format.NewReader(patch, format.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		s, err := r.Next()
		if err == io.EOF {
			return segments
		}
		if err != nil {
			t.Fatal(err)
		}
		var extents []format.Extent
		for x, data := range s.All() {
			extents = append(extents, x.Extent)
			clear(volume[x.Off:x.End()])
			copy(volume[x.Off:x.End()], data)
		}
		segments = append(segments, extents)
		s.Release()
	}
}
