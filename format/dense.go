package format

import (
	"github.com/klauspost/compress/zstd"
)

// LooksDense tells whether segment i seems to have data for all of its range, by the size that its
// frame claims and without reading more than the beginning of that. Nothing of it is checked:
// where it is wrong or can't be read, reading the segment tells.
func (f *File) LooksDense(i int) bool {
	e := f.index[i]
	b := make([]byte, min(zstd.HeaderMaxSize, f.frameEnd(i)-e.Offset))
	if _, err := f.r.ReadAt(b, e.Offset); err != nil {
		return true
	}
	var h zstd.Header
	if err := h.Decode(b); err != nil || !h.HasFCS {
		return true
	}
	return h.FrameContentSize >= uint64(e.End-e.Start)
}
