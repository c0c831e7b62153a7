package thick

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"lvmsync/dump"
	"lvmsync/dump/thick/store"
	"lvmsync/format"
	"lvmsync/format/storage"
)

// A lone is a COW store that was named directly, not by its snapshot.
type lone struct {
	cow
	standing []*snapshot // those that the kernel has on it
}

// OpenStore opens a COW store and the origin that it belongs to by their own paths: what has
// changed on the origin, or what takes it back. Both may be devices or files. The store must be
// that of this very origin: nothing in it tells. LVM and device-mapper aren't needed, but if a
// snapshot stands on the store, it must be one whose list is complete. For the way back, originPath
// may be empty: the store holds the old content. That, and an exact base, can be read only from a
// store that nobody writes to.
func OpenStore(ctx context.Context, cowPath, originPath string,
	exactBase, reverse bool) (src Source, err error) {
	l := new(lone)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if err := l.open(cowPath, originPath); err != nil {
		return src, err
	}
	info := l.describe(reverse)
	changed, err := l.list(ctx, !exactBase && !reverse)
	if err != nil {
		return src, err
	}
	var from, to version
	if l.origin != nil {
		to = version{data: l.origin, file: l.origin, still: true}
	}
	if exactBase || reverse {
		if from.data, err = l.before(ctx, changed); err != nil {
			return src, err
		}
	}
	if reverse {
		from, to = to, from
	}
	if to.data.Size() == 0 {
		return src, fmt.Errorf("%s lists no changes: there is nothing to take back", cowPath)
	}
	src = Source{differ(info, from, to, changed), l.origin}
	src.Inputs, src.Check, src.Close = l.inputs(), l.check, l.close
	return src, nil
}

// describe is what the patch's header says of its source. It comes before anything is flushed.
func (l *lone) describe(reverse bool) (info format.Source) {
	if reverse {
		info = dump.DescribeSource(l.file.Name(), l.file.ID())
	} else {
		info = dump.DescribeSource(l.origin.Name(), l.origin.ID())
		storage.AddStorage(&info, l.file.Name(), l.file.ID()) // it may not be written to either
	}
	info.Type = "cow"
	return info
}

// inputs are the origin, if it's there, and the store.
func (l *lone) inputs() (in dump.Inputs) {
	if l.origin != nil {
		in = append(in, dump.Input{File: l.origin, What: "the origin"})
	}
	return append(in, dump.Input{File: l.file, What: "the COW store", Still: true})
}

// list flushes them, for a write that is still in memory above the origin has no exception yet, and
// lists the exceptions. Where the old chunks lie is found only if the store may not grow.
func (l *lone) list(ctx context.Context, mayGrow bool) (changed chunks, err error) {
	if err := l.checkStanding(ctx); err != nil {
		return changed, err
	}
	if err := l.openKernels(); err != nil {
		return changed, err
	}
	if err := l.inputs().Flush(); err != nil {
		return changed, err
	}
	if err := l.readHeader(ctx); err != nil {
		return changed, err
	}
	trusted, err := l.trusted(mayGrow)
	if err != nil {
		return changed, err
	}
	size := int64(math.MaxInt64)
	if l.origin != nil {
		size = l.origin.Size()
	}
	if changed, err = l.listed(ctx, size, trusted); err != nil {
		return changed, err
	}
	return changed, l.checkStanding(ctx)
}

// trusted is the number of areas that may be read ahead: none but the first of a store that may
// grow.
func (l *lone) trusted(mayGrow bool) (int64, error) {
	usage, err := storage.Users(l.file.ID())
	if err != nil {
		return 0, fmt.Errorf("find out who uses %s: %w", l.file.Name(), err)
	}
	user := "" // who may write to it
	if len(l.standing) > 0 {
		user = "that of " + l.standing[0].name
	}
	if len(usage.Users) > 0 {
		user = usage.Users[0].String()
	}
	switch {
	case user == "":
		return store.AllAreas, nil
	case !mayGrow:
		return 0, fmt.Errorf("the COW store %s is %s and may grow: name the snapshot instead",
			l.file.Name(), user)
	}
	return 0, nil
}

// before is what the volume held: the old chunks, and all else as the origin has it, which isn't
// read if it's gone.
func (l *lone) before(ctx context.Context, changed chunks) (dump.Base, error) {
	var origin io.ReaderAt
	size := int64(0)
	if l.origin != nil {
		origin, size = l.origin, l.origin.Size()
	} else if !changed.set.IsEmpty() {
		size = int64(changed.set.Maximum()+1) * changed.size
	}
	before, err := l.store.Before(ctx, origin, size, changed.set)
	if err != nil {
		return nil, fmt.Errorf("find the old chunks in %s: %w", l.file.Name(), err)
	}
	return before, nil
}

// check makes sure that the list is complete still.
func (l *lone) check(ctx context.Context) error {
	if err := l.checkStanding(ctx); err != nil {
		return err
	}
	return l.checkValid(ctx)
}
