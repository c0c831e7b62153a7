package store

import (
	"encoding/binary"
	"errors"
	"testing"
)

// What is left of a store is told whether it is valid or not.
func TestExamine(t *testing.T) {
	// of 512 bytes: areas 0, 1 and 2 are chunks 1, 34 and 67, and each has 32 entries
	const chunks = 100
	for _, tt := range []struct {
		name  string
		areas []int64 // entries in each
		free  int64
	}{
		{"empty", []int64{0}, 98},
		{"some", []int64{10}, 88},
		{"a full area", []int64{32, 0}, 65},
		{"two full areas", []int64{32, 32, 0}, 32},
		{"full", []int64{32, 32, 32}, 0},
	} {
		for _, valid := range []bool{true, false} {
			d := newDevice(chunks*512, 512)
			for area, n := range tt.areas {
				d.fill(int64(area), n, uint64(area)*100)
			}
			if !valid {
				binary.LittleEndian.PutUint32(d.sector(0)[4:], 0)
			}
			use, err := Examine(t.Context(), d, d.size)
			// which the kernel doesn't leave behind: there is no place for the next area
			if tt.free == 0 {
				if !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: %v", tt.name, err)
				}
				continue
			}
			if err != nil || use.Valid != valid || use.FreeChunks != tt.free {
				t.Errorf("%s, valid %v: %+v, %v; want %d free", tt.name, valid, use, err, tt.free)
			}
		}
	}
	if _, err := Examine(t.Context(), newDevice(512, 512), 512); err == nil {
		t.Error("a store without room for an area has been examined")
	}
}
