// Package cowstore writes COW stores of thick snapshots for tests and benchmarks. It
// knows of the format what captured stores show, and is not made from the code that
// reads them.
package cowstore

import (
	"encoding/binary"
	"os"
)

// Create writes a store to a new file: a header and areas that list the old chunks in
// that order, each in the next place of the store. The chunks have so many bytes. What
// they held is written by hold, if it isn't nil, to the place at byte at of the file;
// else it's left as holes.
func Create(path string, chunk int64, old []int64, hold func(f *os.File, c, at int64) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	le, b := binary.LittleEndian, make([]byte, chunk)
	// "SnAp", valid, version, sectors
	for i, field := range []uint32{0x70416e53, 1, 1, uint32(chunk / 512)} {
		le.PutUint32(b[4*i:], field)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	perArea := int(chunk / 16)
	for area := int64(1); ; area += int64(perArea) + 1 { // in chunks
		clear(b)
		part := old[:min(len(old), perArea)]
		old = old[len(part):]
		for i, c := range part {
			place := area + 1 + int64(i)
			le.PutUint64(b[i*16:], uint64(c))
			le.PutUint64(b[i*16+8:], uint64(place))
			if hold == nil {
				continue
			}
			if err := hold(f, c, place*chunk); err != nil {
				return err
			}
		}
		if _, err := f.WriteAt(b, area*chunk); err != nil {
			return err
		}
		if len(part) < perArea { // a full area is followed by another one
			if err := f.Truncate((area + 1 + int64(len(part))) * chunk); err != nil {
				return err
			}
			return f.Sync()
		}
	}
}
