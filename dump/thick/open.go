// Package thick is the source of patches that a thick (classic) snapshot tells: what has changed is
// listed in the snapshot's COW store. The list is a superset of what changed: the kernel makes an
// exception durable before it lets a write reach the origin.
package thick

import (
	"context"
	"errors"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/format/storage"
)

// A Source is what leads from one version of a volume to another. The caller closes it.
type Source struct {
	dump.Source
	// Origin is the volume that the snapshot was made of, which need not be among the inputs; nil
	// if it's gone.
	Origin *blockdev.File
}

// Open opens what has changed on its origin since a snapshot was made. The snapshot is named in any
// way that LVM users do.
func Open(ctx context.Context, name string) (Source, error) { return open(ctx, forth, name) }

// OpenReverse opens what takes the origin of a snapshot back to it.
func OpenReverse(ctx context.Context, name string) (Source, error) { return open(ctx, back, name) }

// OpenTo opens what has changed from one snapshot of an origin to another one, which need not be
// the newer one. The origin may be in use.
func OpenTo(ctx context.Context, from, to string) (Source, error) {
	return open(ctx, across, from, to)
}

// A direction is from which version of a volume to which other a patch leads.
type direction func(s lives) (from, to version)

func forth(s lives) (from, to version)  { return s[0].then(), s[0].now() }
func back(s lives) (from, to version)   { return s[0].now(), s[0].then() }
func across(s lives) (from, to version) { return s[0].then(), s[1].then() }

// open opens snapshots that are active, lists what has changed, and says what leads one way.
func open(ctx context.Context, way direction, names ...string) (src Source, err error) {
	var s lives
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for _, name := range names {
		s = append(s, new(live))
		if err := s[len(s)-1].open(ctx, name); err != nil {
			return src, err
		}
	}
	if len(s) > 1 {
		if err := s[0].checkPair(s[1].snapshot); err != nil {
			return src, err
		}
	}
	from, to := way(s)
	info := s.describe(ctx, to.file)
	changed, err := s.list(ctx)
	if err != nil {
		return src, err
	}
	if to.lv != nil && storage.MayBeWritten(to.file.ID()) {
		to.lv = nil // it may hold something else by now
	}
	src = Source{differ(info, from, to, changed), s[0].origin}
	src.Inputs, src.Check, src.Close = s.inputs(), s.check, s.close
	if len(s) > 1 { // nothing is read from the origin, which may be in use
		src.Inputs = src.Inputs[1:]
	}
	return src, nil
}
