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
	blockPool  = sync.Pool{New: alignedBlock}
)

// alignedBlock makes a block whose memory suits direct reads, for the pool.
func alignedBlock() any {
	b := make([]byte, 2*BlockSize)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (BlockSize - 1)
	b = b[skip : skip+BlockSize : skip+BlockSize]
	return &b
}

// withBlock reads a block, checks checksum and number, and has it parsed, which must not keep it.
// Both kinds of block begin with a checksum of what follows it, and have their own number at byte
// 8.
func (m *Metadata) withBlock(block uint64, salt uint32, parse func([]byte) error) error {
	buf := blockPool.Get().(*[]byte)
	defer blockPool.Put(buf)
	if err := m.readBlock(block, salt, *buf); err != nil {
		return err
	}
	if err := parse(*buf); err != nil {
		return &CorruptError{Block: block, Err: err}
	}
	return nil
}

func (m *Metadata) readBlock(block uint64, salt uint32, b []byte) error {
	if block >= m.blocks {
		return corrupt(block, "it lies past the end of the device, which has %d blocks", m.blocks)
	}
	n, err := m.r.ReadAt(b, int64(block)*BlockSize)
	if n < BlockSize {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read metadata block %d: %w", block, err)
	}
	if got, want := checksum(b, salt), le.Uint32(b); got != want {
		return corrupt(block, "checksum %#08x, want %#08x", got, want)
	}
	if number := le.Uint64(b[8:]); number != block {
		return corrupt(block, "it says that it is block %d", number)
	}
	return nil
}

// checksum is the kernel's dm_bm_checksum: a crc32c without the final inversion.
func checksum(b []byte, salt uint32) uint32 {
	return ^crc32.Checksum(b[4:], castagnoli) ^ salt
}
