// Package patchtest makes patches for the tests of the packages around format.
package patchtest

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
)

// Header is a valid header with nothing in it that changes.
func Header(kind format.Kind, volumeSize int64) format.Header {
	return format.Header{
		ID:          uuid.MustParse("0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a"),
		Kind:        kind,
		Created:     time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		VolumeSize:  volumeSize,
		Granularity: 4096,
	}
}

// Write makes a patch without compression, with one segment for each list of records. Data
// extents are filled with the byte 7.
func Write(t testing.TB, h format.Header, segments ...[]format.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := format.NewWriter(&out, h, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, records := range segments {
		s := w.NewSegment()
		s.Records = append(s.Records, records...)
		for _, r := range records {
			if r.Kind == format.Data {
				s.Data = append(s.Data, bytes.Repeat([]byte{7}, int(r.Len))...)
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

// Open opens a patch to be read at random.
func Open(t testing.TB, patch []byte) *format.File {
	t.Helper()
	f, err := format.OpenFile(bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
