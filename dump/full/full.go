// Package full is the source of full patches: the whole of a block device or
// image file.
package full

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/google/uuid"

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

// A Source is a device or file of which everything is sent. It implements
// [dump.Source].
type Source struct {
	*blockdev.File
	info  format.Source
	state *format.State // a thick snapshot has a name that deltas know it by

	unnamed error // why LVM could not be asked for names
}

var _ dump.Source = (*Source)(nil)

// Open opens the block device or image file at path. What was written to it
// before, and is still in memory above it, is flushed first. If it is a logical
// volume, and LVM is there to ask, the header gets its names.
func Open(ctx context.Context, path string) (*Source, error) {
	f, err := blockdev.Open(path)
	if err != nil {
		return nil, err
	}
	if f.Size() == 0 {
		return nil, errors.Join(fmt.Errorf("%w: %s has 0 bytes", ErrEmpty, path), f.Close())
	}
	s := &Source{File: f, info: dump.DescribeSource(path, f.ID())}
	if err := s.Inputs().Flush(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.addLV(ctx)
	return s, nil
}

// addLV asks LVM for names. Without an answer the patch is as good, but
// chains know less of it.
func (s *Source) addLV(ctx context.Context) {
	if !strings.HasPrefix(s.info.DeviceUUID, "LVM-") {
		return
	}
	device, err := devmapper.Info(ctx, s.ID().DevNum)
	if err != nil {
		s.unnamed = err
		return
	}
	lv, err := devmapper.LV(ctx, device.VG, device.LV)
	if err != nil {
		s.unnamed = err
		return
	}
	if lv.Num == device.Num {
		if !lv.ThickSnapshot() || storage.MayBeWritten(s.ID()) { // then it is no state of its origin
			dump.AddVolume(ctx, &s.info, lv)
			return
		}
		dump.AddSnapshot(ctx, &s.info, lv)
		s.state = &format.State{Snapshot: lv.UUID, SnapshotCreated: lv.Created}
	}
}

// Unnamed tells why the header lacks the names of a logical volume, and which
// snapshot it is, if so; nil otherwise.
func (s *Source) Unnamed() error { return s.unnamed }

// SetNoted says in which notes the patch is (docs/format.md, "Notes").
func (s *Source) SetNoted(notes map[string]uuid.UUID) { s.info.Noted = notes }

// Header implements [dump.Source].
func (s *Source) Header() format.Header {
	return format.Header{
		Kind:        format.Full,
		Source:      s.info,
		VolumeSize:  s.Size(),
		Granularity: granularity,
		Planned:     &format.Planned{Bytes: s.Size()},
		State:       s.state,
	}
}

// Base implements [dump.Source]: a full patch has none.
func (s *Source) Base() dump.Base { return nil }

// Unchanged implements [dump.Source]: nothing lies outside a full patch.
func (s *Source) Unchanged() io.ReaderAt { return nil }

// Inputs implements [dump.Source].
func (s *Source) Inputs() dump.Inputs { return dump.Inputs{{File: s.File, What: "the device"}} }

// Extents implements [dump.Source]: holes of a file are zero extents, all else
// is data.
func (s *Source) Extents() iter.Seq2[format.Extent, error] { return s.ExtentsIn(granularity) }

// ExtentsIn yields the same with holes that begin and end on blocks of blockSize
// bytes, or end with the file.
func (s *Source) ExtentsIn(blockSize int64) iter.Seq2[format.Extent, error] {
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
		for r, err := range s.DataRanges() {
			if err != nil {
				yield(format.Extent{}, err)
				return
			}
			if !r.Hole {
				continue
			}
			// Between holes lies data; a hole counts in whole blocks only.
			start, end := (r.Off+blockSize-1)/blockSize*blockSize, r.Off+r.Len
			if end < s.Size() {
				end = end / blockSize * blockSize
			}
			if start < end && (!emit(start, format.Data) || !emit(end, format.Zero)) {
				return
			}
		}
		emit(s.Size(), format.Data)
	}
}

// Check implements [dump.Source]. A device that fails gives an error when it is
// read. But the end of a file that became smaller looks like a hole, and a snapshot
// that has overflowed gives the same errors as bad sectors.
func (s *Source) Check(ctx context.Context) error {
	if err := thick.CheckValid(ctx, s.File); err != nil {
		return err
	}
	return s.CheckSize()
}
