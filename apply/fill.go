package apply

import (
	"bytes"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/storage"
)

// fill writes what a block reads as, past the page cache: with one call where that is
// zeros, which a killed program ends too, so that the block is whole or isn't mapped.
// In a thin volume, one that reads as anything else is mapped already.
func (d *destination) fill(block format.Extent, part storage.ThinPart) error {
	if !part.Direct {
		return d.rewrite(block, part)
	}
	if !d.isZero(block) {
		return nil
	}
	d.blocks.tell(part)
	err := d.writePast(block)
	if err != nil {
		_ = d.unmap(block.Off, block.Len) // else it would be taken for one that holds something
	}
	return err
}

// tell tells once of a pool in which a block is filled.
func (b *poolBlocks) tell(part storage.ThinPart) {
	if !b.filled && b.filling != nil {
		b.filling(part.Pool)
	}
	b.filled = true
}

// isZero tells whether all of an extent reads as zeros. What can't be read doesn't.
func (d *destination) isZero(e format.Extent) bool {
	buf := directBuffers.Get().(*[]byte)
	defer directBuffers.Put(buf)
	for off := e.Off; off < e.End(); off += directSize {
		b := (*buf)[:min(directSize, e.End()-off)]
		if n, _ := d.ReadAt(b, off); n < len(b) || !bytes.Equal(b, zeros[:len(b)]) {
			return false
		}
	}
	return true
}

// rewrite writes what a block holds, all of it read before: it isn't known whether it is
// mapped, and once a part of it is written, the rest reads as what is uncovered.
func (d *destination) rewrite(block format.Extent, part storage.ThinPart) error {
	d.blocks.tell(part)
	var whole [][]byte
	err := pieces(block, func(off, n int64) error {
		b := d.blocks.buffer(0)[:n]
		if _, err := d.ReadAt(b, off); err != nil {
			return err
		}
		if bytes.Equal(b, zeros[:n]) {
			whole = append(whole, alignedZeros[:n])
			return nil
		}
		whole = append(whole, append(alignedBuffer(int(n))[:0], b...))
		return nil
	})
	if err != nil {
		return err
	}
	return d.writeVector(whole, block.Off)
}

// alignedZeros are the zeros of a piece, however many of them are written.
var alignedZeros = alignedBuffer(pieceSize)

// writePast writes zeros past the page cache.
func (d *destination) writePast(e format.Extent) error {
	var vector [][]byte
	for left := e.Len; left > 0; left -= pieceSize {
		vector = append(vector, alignedZeros[:min(left, pieceSize)])
	}
	return d.writeVector(vector, e.Off)
}

// writeVector writes past the page cache; through it where a device's sectors are too
// large for the place.
func (d *destination) writeVector(vector [][]byte, off int64) error {
	if d.blocks.out == nil {
		out, err := openAgain(d, os.O_WRONLY|unix.O_DIRECT)
		if err != nil {
			return err
		}
		d.blocks.out = out
	}
	for len(vector) > 0 {
		const most = 1024 // IOV_MAX
		n, err := unix.Pwritev(int(d.blocks.out.Fd()), vector[:min(len(vector), most)], off)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EINVAL):
			n, err = len(vector[0]), d.writeAt(vector[0], off)
		case err == nil && n == 0:
			err = unix.EIO
		}
		if err != nil {
			return d.writeError(off, err)
		}
		for off += int64(n); n > 0; {
			done := min(n, len(vector[0]))
			if vector[0], n = vector[0][done:], n-done; len(vector[0]) == 0 {
				vector = vector[1:]
			}
		}
	}
	return nil
}

// buffer is one of two for a piece of a block.
func (b *poolBlocks) buffer(i int) []byte {
	if b.buf[i] == nil {
		b.buf[i] = alignedBuffer(pieceSize)
	}
	return b.buf[i]
}

func (b *poolBlocks) close() {
	if b.out != nil {
		b.out.Close()
	}
}
