// Package full is the source of full patches: the whole of a block device or
// image file.
package full

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/thick"
	"lvmsync/format"
	"lvmsync/format/storage"
)

// ErrEmpty means that there is nothing to dump.
var ErrEmpty = errors.New("the source is empty")

// granularity is the unit in bytes to which the holes of a file are rounded: a
// hole ends where a block of data begins.
const granularity = 4096

// A Volume is a device or file of which everything is sent.
type Volume struct {
	*blockdev.File
	info  format.Source
	state *format.State // a thick snapshot has a name that deltas know it by

	unnamed error // why LVM could not be asked for names
}

// Open opens the block device or image file at path. What was written to it
// before, and is still in memory above it, is flushed first. If it is a logical
// volume, and LVM is there to ask, the header gets its names.
func Open(ctx context.Context, path string) (*Volume, error) {
	f, err := blockdev.Open(path)
	if err != nil {
		return nil, err
	}
	if f.Size() == 0 {
		return nil, errors.Join(fmt.Errorf("%w: %s has 0 bytes", ErrEmpty, path), f.Close())
	}
	v := &Volume{File: f, info: dump.DescribeSource(path, f.ID())}
	if err := f.Flush(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	v.addLV(ctx)
	return v, nil
}

// addLV asks LVM for names. Without an answer the patch is as good, but
// chains know less of it.
func (v *Volume) addLV(ctx context.Context) {
	if !strings.HasPrefix(v.info.DeviceUUID, "LVM-") {
		return
	}
	device, err := devmapper.Info(ctx, v.ID().DevNum)
	if err != nil {
		v.unnamed = err
		return
	}
	lv, err := devmapper.LV(ctx, device.VG, device.LV)
	if err != nil {
		v.unnamed = err
		return
	}
	if lv.Num == device.Num {
		if !lv.ThickSnapshot() || storage.MayBeWritten(v.ID()) { // no state of its origin then
			dump.AddVolume(ctx, &v.info, lv)
			return
		}
		dump.AddSnapshot(ctx, &v.info, lv)
		v.state = &format.State{Snapshot: lv.UUID, SnapshotCreated: lv.Created}
	}
}

// Unnamed tells why the header lacks the names of a logical volume, and which
// snapshot it is, if so; nil otherwise.
func (v *Volume) Unnamed() error { return v.unnamed }

// Source is all of the volume as a full patch. Holes of a file are zero extents, all else is data.
func (v *Volume) Source() dump.Source {
	return dump.Source{
		Header: format.Header{
			Kind:        format.Full,
			Source:      v.info,
			VolumeSize:  v.Size(),
			Granularity: granularity,
			Planned:     &format.Planned{Bytes: v.Size()},
			State:       v.state,
		},
		Extents:    v.Extents(granularity),
		Data:       v.File,
		SectorSize: v.LogicalBlockSize(),
		Inputs:     dump.Inputs{{File: v.File, What: "the device"}},
		Check:      v.check,
		Close:      v.File.Close,
	}
}

// Extents yields all of the volume, with holes that begin and end on blocks of blockSize
// bytes, or end with the file.
func (v *Volume) Extents(blockSize int64) iter.Seq2[format.Extent, error] {
	return func(yield func(format.Extent, error) bool) {
		off := int64(0) // what has been yielded
		emit := func(end int64, kind format.ExtentKind) bool {
			if end <= off {
				return true
			}
			e := format.Extent{Off: off, Len: end - off, Kind: kind}
			off = end
			return yield(e, nil)
		}
		for r, err := range v.DataRanges() {
			if err != nil {
				yield(format.Extent{}, err)
				return
			}
			if !r.Hole {
				continue
			}
			// Between holes lies data; a hole counts in whole blocks only.
			start, end := (r.Off+blockSize-1)/blockSize*blockSize, r.Off+r.Len
			if end < v.Size() {
				end = end / blockSize * blockSize
			}
			if start < end && (!emit(start, format.Data) || !emit(end, format.Zero)) {
				return
			}
		}
		emit(v.Size(), format.Data)
	}
}

// check is for what reading doesn't tell. A device that fails gives an error when it is
// read. But the end of a file that became smaller looks like a hole, and a snapshot
// that has overflowed gives the same errors as bad sectors.
func (v *Volume) check(ctx context.Context) error {
	if err := thick.CheckValid(ctx, v.File); err != nil {
		return err
	}
	return v.CheckSize()
}
