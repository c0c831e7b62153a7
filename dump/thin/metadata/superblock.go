package metadata

import "fmt"

const (
	superMagic = 27022010
	needsCheck = 1 << 0 // THIN_METADATA_NEEDS_CHECK_FLAG
	// The bounds of the pool's block size in sectors (dm-thin.c: DATA_DEV_BLOCK_SIZE_MIN_SECTORS
	// and _MAX_SECTORS).
	minDataBlockSectors = 128
	maxDataBlockSectors = 2097152
)

// superblock is what is read of the kernel's struct thin_disk_superblock.
type superblock struct {
	flags    uint32 // offset 4
	magic    uint64 // offset 32
	version  uint32 // offset 40
	time     uint32 // offset 44: how many snapshots were made in the pool
	heldRoot uint64 // offset 56: block of the metadata snapshot
	// offset 64: first field of the data space map's root: blocks of the pool
	dataBlocks       uint64
	mappingRoot      uint64 // offset 320: of the tree of volumes
	detailsRoot      uint64 // offset 328: of the tree of what is noted of each volume
	dataBlockSectors uint32 // offset 336
	blockSectors     uint32 // offset 340: of a metadata block
	incompatFlags    uint32 // offset 360
}

func parseSuperblock(b []byte) superblock {
	return superblock{
		flags:            le.Uint32(b[4:]),
		magic:            le.Uint64(b[32:]),
		version:          le.Uint32(b[40:]),
		time:             le.Uint32(b[44:]),
		heldRoot:         le.Uint64(b[56:]),
		dataBlocks:       le.Uint64(b[64:]),
		mappingRoot:      le.Uint64(b[320:]),
		detailsRoot:      le.Uint64(b[328:]),
		dataBlockSectors: le.Uint32(b[336:]),
		blockSectors:     le.Uint32(b[340:]),
		incompatFlags:    le.Uint32(b[360:]),
	}
}

func (s superblock) check() error {
	switch size := s.dataBlockSectors; {
	case s.magic != superMagic:
		return fmt.Errorf("magic is %d, not %d: no thin pool's superblock", s.magic, superMagic)
	case s.version < 1 || s.version > 2:
		return fmt.Errorf("version %d, only 1 and 2 are known", s.version)
	case s.incompatFlags != 0:
		return fmt.Errorf("unknown incompatible features %#x", s.incompatFlags)
	case s.blockSectors != BlockSize/512:
		return fmt.Errorf("metadata blocks of %d sectors, not %d", s.blockSectors, BlockSize/512)
	case size < minDataBlockSectors || size > maxDataBlockSectors || size%minDataBlockSectors != 0:
		return fmt.Errorf("data blocks of %d sectors", size)
	}
	return nil
}
