package blockdev

import (
	"testing"
)

// open opens a source until the test ends.
func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // some tests close it themselves
	return f
}

// content reads all of a source.
func content(t *testing.T, f *File) []byte {
	t.Helper()
	p := make([]byte, f.Size())
	if n, err := f.ReadAt(p, 0); err != nil || n != len(p) {
		t.Fatalf("ReadAt(%d bytes, 0) = %d, %v", len(p), n, err)
	}
	return p
}
