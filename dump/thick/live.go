package thick

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/format"
)

// A live is a snapshot that is active, with its devices open.
type live struct {
	*snapshot
	cow
	data *blockdev.File // what it holds
}

// open opens the devices of a snapshot. The caller closes them, also after an error.
func (l *live) open(ctx context.Context, name string) (err error) {
	if l.snapshot, err = find(ctx, name); err != nil {
		return err
	}
	if err := l.cow.open(l.target.COW.Path(), l.above.Path()); err != nil {
		return err
	}
	if l.data, err = blockdev.Open(l.device.Path()); err != nil {
		return err
	}
	if l.origin.Size() < l.size {
		return fmt.Errorf("%s: the origin has %d bytes, fewer than the snapshot with %d", name,
			l.origin.Size(), l.size)
	}
	return nil
}

// then is what the snapshot holds.
func (l *live) then() version {
	return version{data: l.data, file: l.data, still: true, lv: l.lv}
}

// now is what the origin holds.
func (l *live) now() version { return version{data: l.origin, file: l.origin} }

// lives are one snapshot, or two of one origin. Which of them is older doesn't matter.
type lives []*live

// describe is what the patch's header says of its source; data are read from volume. It comes
// before the list is read: what was written before a snapshot that is made meanwhile need not be in
// that.
func (s lives) describe(ctx context.Context, volume *blockdev.File) format.Source {
	info := dump.DescribeSource(volume.Name(), volume.ID())
	info.Type = "thick"
	if s[0].lv != nil {
		dump.AddSnapshot(ctx, &info, *s[0].lv)
	}
	return info
}

// inputs are the origin and the snapshots.
func (s lives) inputs() dump.Inputs {
	in := dump.Inputs{{File: s[0].origin, What: "the origin"}}
	for _, l := range s {
		in = append(in, dump.Input{File: l.data, What: "the snapshot", Still: true})
	}
	return in
}

// list flushes all of them, then lists the exceptions: a buffered write to the origin makes one in
// each of its snapshots, one to a snapshot makes one in that. What neither of two lists is the
// origin's in both, so what they list together is a superset of what differs between them:
// whichever is older, and also if something was written to one of them.
func (s lives) list(ctx context.Context) (changed chunks, err error) {
	if err := s.inputs().Flush(); err != nil {
		for _, l := range s {
			if why := l.check(ctx); errors.Is(why, dump.ErrIncomplete) {
				return changed, why // an invalid snapshot takes no writes
			}
		}
		return changed, err
	}
	for _, l := range s {
		listed, err := l.list(ctx)
		if err != nil {
			return changed, err
		}
		changed = changed.or(listed)
	}
	return changed, nil
}

// check makes sure that the lists are complete still: reading the origin goes on as if nothing had
// happened when a snapshot overflows.
func (s lives) check(ctx context.Context) error {
	for _, l := range s {
		if err := l.check(ctx); err != nil {
			return err
		}
		if err := l.checkValid(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s lives) close() (err error) {
	for _, l := range s {
		err = errors.Join(err, l.cow.close(), l.data.Close())
	}
	return err
}
