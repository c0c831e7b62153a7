package blockdev

import (
	"sync"
	"unsafe"
)

// bufferAlign is the alignment of AlignedBuffer's memory in bytes: a page, which suits every
// device.
const bufferAlign = 4096

// bounceSize is the size in bytes of the buffers through which unaligned direct reads go.
const bounceSize = 256 << 10

// AlignedBuffer allocates n bytes of zeroed memory that begin on a multiple of 4096, so that direct
// reads into it need no copy. Its capacity is n, too.
func AlignedBuffer(n int) []byte {
	raw := make([]byte, n+bufferAlign)
	skip := -misalignment(raw, bufferAlign) & (bufferAlign - 1)
	return raw[skip : skip+n : skip+n]
}

// misalignment tells by how many bytes the memory of p (not empty) is past a multiple of align, a
// power of two.
func misalignment(p []byte, align int) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(p))) & uintptr(align-1))
}

var bouncePool = sync.Pool{New: func() any {
	b := AlignedBuffer(bounceSize)
	return &b
}}
