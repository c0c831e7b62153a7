package thin

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
)

// A reservation is the note of a run that reserves a pool's metadata snapshot, so that what it
// leaves behind when it is killed can be told from somebody else's. It is empty while there is
// none.
type reservation struct {
	// Begun: none was held, and one is about to be reserved. If nothing more is noted, nobody knows
	// what has become of that, and one that is held later may be anybody's.
	Begun bool   `json:",omitempty"`
	Block uint64 `json:",omitempty"` // of the metadata that was reserved
	Sum   uint64 `json:",omitempty"` // xxh64 of what is in it
}

// reserve reserves the metadata snapshot and notes it; it must be released if it tells so, whatever
// the error. The caller has seen that none is held.
func (p *pool) reserve(ctx context.Context, l *lock,
	in *blockdev.File) (status devmapper.PoolStatus, reserved bool, err error) {
	w, err := callWitness(l, witnessPool, p.device.Num.String(), in.Name())
	if err != nil {
		return status, false, fmt.Errorf("start its witness: %w", err)
	}
	defer w.dismiss()
	if err := l.note(reservation{Begun: true}); err != nil {
		return status, false, err
	}
	err = p.message(ctx, "reserve_metadata_snap", devmapper.Trace{Stderr: w.stderr, Open: w.alive})
	switch {
	case err == nil:
		status, err = p.conclude(ctx, l, in)
		return status, true, err
	case errors.Is(err, devmapper.ErrCutShort) && devmapper.Content(w.stderr) == "":
		status, err2 := p.conclude(devmapper.Regardless(ctx), l, in)
		return status, status.Held != 0, errors.Join(err, err2)
	}
	if err2 := l.note(reservation{}); err2 != nil {
		return status, false, errors.Join(err, err2)
	}
	if errors.Is(err, devmapper.ErrCutShort) {
		return status, false, err
	}
	now, err2 := devmapper.StatusOfPool(devmapper.Regardless(ctx), p.device.Num)
	if err2 == nil && now.Held != 0 {
		err = p.heldError("") // by one that was quicker
	}
	return status, false, err
}

// conclude notes what has become of a reservation whose dmsetup has ended just now, and has not
// said that it failed: none was held before, so one that is held now is ours.
func (p *pool) conclude(ctx context.Context, l *lock,
	in *blockdev.File) (devmapper.PoolStatus, error) {
	status, err := devmapper.StatusOfPool(ctx, p.device.Num)
	if err != nil {
		return status, err
	}
	r := reservation{Block: status.Held}
	if status.Held != 0 {
		r.Sum = blockSum(in, status.Held)
	}
	return status, l.note(r)
}
