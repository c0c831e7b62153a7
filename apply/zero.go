package apply

import (
	"errors"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/refine"
)

const (
	// smallZero is the size in bytes below which zeros are simply written: a request
	// of its own costs more, and in a file leaves many small holes.
	smallZero = 64 << 10
	// zeroAlign is the alignment in bytes of what a device is told to zero, and of
	// direct reads. It suits nearly every device's logical blocks and most kernels'
	// pages.
	zeroAlign = 4096
	// zeroBuffer is how many zeros are written or read back at a time, in bytes.
	zeroBuffer = 1 << 20
)

var zeros [zeroBuffer]byte

// zero has [off, off+size) read as zeros once it has been synced: what is small is
// written, what is large is left to makeZeros.
func (d *destination) zero(off, size int64) error {
	if d.blocks.have(off, off+size) {
		return d.zeroInBlocks(off, size)
	}
	return d.zeroOutside(off, size)
}

// zeroOutside does that where no blocks need to be looked at.
func (d *destination) zeroOutside(off, size int64) error {
	if size < smallZero {
		if !d.isDevice && d.isHole(off, off+size) {
			return nil
		}
		return writeZeros(d.write, off, size)
	}
	if err := d.settle(off, off+size); err != nil { // pages at its ends may reach into blocks
		return err
	}
	return d.zeroLater(format.Extent{Off: off, Len: size, Kind: format.Zero})
}

// zeroLater leaves an extent to makeZeros.
func (d *destination) zeroLater(e format.Extent) error {
	d.touched = true
	w := &d.window
	w.zeros = append(w.zeros, e)
	w.zeroed += e.Len
	if w.zeroed < windowZeros {
		return nil
	}
	return d.turn()
}

// isHole tells whether the file stores nothing of [off, end), which then reads as
// zeros.
func (d *destination) isHole(off, end int64) bool {
	data, err := d.f.Seek(off, unix.SEEK_DATA)
	return errors.Is(err, unix.ENXIO) || err == nil && data >= end // ENXIO: no data from there on
}

// makeZeros makes extents read as zeros. What isn't aligned for a device is written.
func (d *destination) makeZeros(extents []format.Extent) error {
	for _, e := range extents {
		from, to := e.Off, e.End()
		if d.isDevice && !d.wholeBlocks(e) {
			from, to = (from+zeroAlign-1)/zeroAlign*zeroAlign, to/zeroAlign*zeroAlign
		}
		err := writeZeros(d.writeAt, e.Off, from-e.Off)
		if err == nil {
			err = d.zeroAligned(from, to-from)
		}
		if err == nil {
			err = writeZeros(d.writeAt, to, e.End()-to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// zeroAligned punches a hole where the system guarantees that it reads as zeros:
// in files, and on devices that can zero blocks and free them at once. Where that
// fails for whatever reason, a device is asked to zero the blocks and keep them,
// which the kernel does with writes if need be; at last they are written here.
// Only that last resort can fail, and if the device is broken, it does.
func (d *destination) zeroAligned(off, size int64) error {
	if size == 0 {
		return nil
	}
	fd := int(d.f.Fd())
	switch {
	case d.isThin:
		return d.discard(off, size)
	case d.blocks.have(off, off+size):
		return writeZeros(d.writeAt, off, size)
	case unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, size) == nil:
		return nil
	case d.isDevice && unix.Fallocate(fd,
		unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, off, size) == nil:
		return nil
	}
	return writeZeros(d.writeAt, off, size)
}

// discard unmaps what it can of a range of a thin volume, which keeps it thin,
// and writes zeros to what still holds something: the pool's blocks needn't lie
// within the range, and the pool may be set to ignore discards. What came of the
// discard is read back past the page cache, so its own error says nothing more.
func (d *destination) discard(off, size int64) error {
	_ = d.unmap(off, size)
	buf := alignedBuffer(zeroBuffer)
	for end := off + size; off < end; {
		n := min(zeroBuffer, end-off)
		_, err := d.ReadAt(buf[:n], off)
		if err == nil {
			err = d.clear(buf[:n], off)
		} else {
			err = writeZeros(d.writeAt, off, n)
		}
		if err != nil {
			return err
		}
		off += n
	}
	return nil
}

// unmap discards a range.
func (d *destination) unmap(off, size int64) error {
	arg := [2]uint64{uint64(off), uint64(size)}
	return ioctlRange(d.f, unix.BLKDISCARD, &arg)
}

// clear writes zeros where was, which is what was read at off, holds anything
// else: what is unmapped shall stay so.
func (d *destination) clear(was []byte, off int64) error {
	for e := range refine.Runs(off, zeros[:len(was)], was) {
		if err := writeZeros(d.writeAt, e.Off, e.Len); err != nil {
			return err
		}
	}
	return nil
}

// writeZeros writes zeros to [off, off+size) by calls of write.
func writeZeros(write func(b []byte, off int64) error, off, size int64) error {
	for size > 0 {
		n := min(size, zeroBuffer)
		if err := write(zeros[:n], off); err != nil {
			return err
		}
		off += n
		size -= n
	}
	return nil
}
