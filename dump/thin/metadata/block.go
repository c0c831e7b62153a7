package metadata

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"unsafe"
)

// BlockSize is the size of a metadata block in bytes (THIN_METADATA_BLOCK_SIZE).
const BlockSize = 4096

// What the checksum of a block is xored with (SUPERBLOCK_CSUM_XOR, BTREE_CSUM_XOR).
const (
	superblockSalt = 160774
	nodeSalt       = 121107
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
	blockPool  = sync.Pool{New: func() any { return alignedBlock() }}
)

// alignedBlock makes a block whose memory suits direct reads.
func alignedBlock() []byte {
	b := make([]byte, 2*BlockSize)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (BlockSize - 1)
	return b[skip : skip+BlockSize : skip+BlockSize]
}

// readBlock reads a block and checks checksum and number. Both kinds of block begin with a checksum of what follows it,
// and have their own number at byte 8.
func (m *Metadata) readBlock(block uint64, salt uint32) ([]byte, error) {
	if block >= m.blocks {
		return nil, corrupt(block, "it lies past the end of the device, which has %d blocks", m.blocks)
	}
	b := blockPool.Get().([]byte)
	n, err := m.r.ReadAt(b, int64(block)*BlockSize)
	if n < BlockSize {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read metadata block %d: %w", block, err)
	}
	if got, want := checksum(b, salt), le.Uint32(b); got != want {
		return nil, corrupt(block, "checksum %#08x, want %#08x", got, want)
	}
	if number := le.Uint64(b[8:]); number != block {
		return nil, corrupt(block, "it says that it is block %d", number)
	}
	return b, nil
}

// checksum is the kernel's dm_bm_checksum: a crc32c without the final inversion.
func checksum(b []byte, salt uint32) uint32 {
	return ^crc32.Checksum(b[4:], castagnoli) ^ salt
}
