package store

const entryBytes = 16 // struct disk_exception: u64 old chunk, u64 new chunk

// layout says where things lie on a device of a given size. No sum here can overflow: all of them
// stay below the device's size as long as area numbers stay below areas.
type layout struct {
	chunkBytes int64
	// whole chunks on the device; the kernel puts nothing into a partial one at the end
	chunks      int64
	areaEntries int64 // entries in an area, and data chunks after it
	areas       int64 // areas that lie wholly on the device
}

func newLayout(size, chunkBytes int64) layout {
	l := layout{
		chunkBytes:  chunkBytes,
		chunks:      size / chunkBytes,
		areaEntries: chunkBytes / entryBytes,
	}
	if l.chunks > 1 { // chunk 0 is the header, chunk 1 is area 0
		l.areas = (l.chunks-2)/(l.areaEntries+1) + 1
	}
	return l
}

// areaOffset returns the place of an area in bytes; area must be below areas.
func (l layout) areaOffset(area int64) int64 {
	return (1 + area*(l.areaEntries+1)) * l.chunkBytes
}

// isArea reports whether a chunk of the device holds an area.
func (l layout) isArea(chunk uint64) bool {
	return chunk%uint64(l.areaEntries+1) == 1
}
