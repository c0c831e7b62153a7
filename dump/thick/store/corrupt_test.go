package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// TestCorruptGolden breaks one rule at a time in a real store: 4 KiB chunks, so 256 entries an
// area, of which the third ends at entry 91; 679 whole chunks; a volume of 1001 chunks.
func TestCorruptGolden(t *testing.T) {
	const area1, area2 = 258 * 4096, 515 * 4096
	tests := []struct {
		name        string
		area, entry int64
		offset      int64  // of the entry
		field       int64  // 0: old chunk, 8: new chunk
		value       uint64 // to write there
		why         string
	}{
		{"new chunk is area 0", 0, 0, 4096, 8, 1, "new chunk 1 is the place"},
		{"new chunk is area 1", 0, 17, 4096 + 17*16, 8, 258, "new chunk 258 is the place"},
		{"new chunk is area 2", 1, 255, area1 + 255*16, 8, 515, "new chunk 515 is the place"},
		{"new chunk just past the device", 2, 90, area2 + 90*16, 8, 679, "new chunk 679 is past"},
		{"new chunk 2^63", 0, 1, 4096 + 16, 8, 1 << 63, "new chunk 9223372036854775808 is past"},
		{"new chunk 2^64-1", 0, 1, 4096 + 16, 8, 1<<64 - 1,
			"new chunk 18446744073709551615 is past"},
		{"new chunk 2^52+2, in bytes 2^64+8192", 0, 1, 4096 + 16, 8, 1<<52 + 2,
			"is past the device's end"},
		{"garbage after the end of the list", 2, 92, area2 + 92*16, 8, 0, ""},
		{"old chunk just past the volume", 1, 0, area1, 0, 1001, "old chunk 1001 is past"},
		{"old chunk 2^63", 2, 0, area2, 0, 1 << 63, "old chunk 9223372036854775808 is past"},
		{"old chunk 2^64-1", 0, 255, 4096 + 255*16, 0, 1<<64 - 1,
			"old chunk 18446744073709551615 is past"},
	}
	c, good := golden(t, "c4k-3areas")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := bytes.Clone(good)
			binary.LittleEndian.PutUint64(b[tt.offset+tt.field:], tt.value)
			if tt.why == "" {
				s := mustOpen(t, bytes.NewReader(b), int64(len(b)))
				wantChunks(t, mustRead(t, s, c.OriginBytes, AllAreas), c.Expected.ChangedChunks...)
				return
			}
			wantCorrupt(t, b, c.OriginBytes,
				CorruptError{Area: tt.area, Entry: tt.entry, Offset: tt.offset}, tt.why)
		})
	}
}

func TestCorruptDuplicate(t *testing.T) {
	c, good := golden(t, "c4k-3areas")
	for _, tt := range []struct {
		name        string
		area, entry int64
		offset      int64
	}{
		{"in the same area", 0, 1, 4096 + 16},
		{"in a later area", 2, 90, 515*4096 + 90*16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bytes.Clone(good)
			copy(b[tt.offset:], b[4096:4096+8]) // the old chunk of the very first entry
			wantCorrupt(t, b, c.OriginBytes,
				CorruptError{Area: tt.area, Entry: tt.entry, Offset: tt.offset}, "listed twice")
		})
	}
}

// TestCorruptTruncated cuts the device after a full area, so that the next one is lost in part or
// whole.
func TestCorruptTruncated(t *testing.T) {
	c, good := golden(t, "c4k-area-full")
	for _, size := range []int64{258 * 4096, 258*4096 + 512, 259*4096 - 1} {
		wantCorrupt(t, good[:size], c.OriginBytes, CorruptError{Area: 0, Entry: -1, Offset: 4096},
			"truncated")
	}
	b := good[:259*4096] // all of area 1 and nothing after it
	s := mustOpen(t, bytes.NewReader(b), int64(len(b)))
	wantChunks(t, mustRead(t, s, c.OriginBytes, AllAreas), c.Expected.ChangedChunks...)
}

// TestCorruptVolumeSize reads a good store against a volume that is too small for it: its last
// chunk is listed.
func TestCorruptVolumeSize(t *testing.T) {
	c, b := golden(t, "c4k-few")
	s := mustOpen(t, bytes.NewReader(b), int64(len(b)))
	last := c.OriginBytes - c.ChunkBytes // where it starts
	wantChunks(t, mustRead(t, s, last+1, AllAreas), c.Expected.ChangedChunks...)
	for _, size := range []int64{last, 1, 0} {
		if set, err := s.Exceptions(t.Context(), size, AllAreas); !errors.Is(err, ErrCorrupt) ||
			set != nil {
			t.Errorf("volume of %d bytes: %v, %v, want ErrCorrupt", size, set, err)
		}
	}
	if set, err := s.Exceptions(t.Context(), -1, AllAreas); err == nil || set != nil ||
		errors.Is(err, ErrCorrupt) {
		t.Errorf("negative volume size: %v, %v, want an error that doesn't blame the store", set,
			err)
	}
}

func wantCorrupt(t *testing.T, store []byte, volumeSize int64, want CorruptError, why string) {
	t.Helper()
	s := mustOpen(t, bytes.NewReader(store), int64(len(store)))
	for _, areas := range readCounts {
		set, err := s.Exceptions(t.Context(), volumeSize, areas)
		var got *CorruptError
		if !errors.As(err, &got) || !errors.Is(err, ErrCorrupt) || set != nil {
			t.Fatalf("Exceptions = %v, %v, want a CorruptError only", set, err)
		}
		if got.Area != want.Area || got.Entry != want.Entry || got.Offset != want.Offset {
			t.Errorf("%v; want area %d, entry %d, byte %d", err, want.Area, want.Entry, want.Offset)
		}
		if !strings.Contains(err.Error(), why) {
			t.Errorf("%q doesn't say %q", err, why)
		}
	}
}
