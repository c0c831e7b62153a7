package thin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin/metadata"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

var (
	// ErrHeld means that somebody else holds the pool's metadata snapshot, of which there can be
	// only one.
	ErrHeld = errors.New("the pool's metadata snapshot is held by another program")
	// ErrPool means that the pool is in a state in which its metadata can't be read.
	ErrPool = errors.New("the thin pool can't be asked what has changed")
)

// A pool is an active thin pool.
type pool struct {
	device devmapper.Device
	target dmtable.Pool
}

func openPool(ctx context.Context, num kernel.DevNum) (*pool, error) {
	device, err := devmapper.Info(ctx, num)
	if err != nil {
		return nil, err
	}
	table, err := devmapper.TableOf(ctx, num)
	if err != nil {
		return nil, err
	}
	if len(table) != 1 {
		return nil, fmt.Errorf("table of the thin pool %s: %d lines, not one",
			device.Name, len(table))
	}
	target, err := dmtable.ParsePool(table[0])
	if err != nil {
		return nil, err
	}
	return &pool{device, target}, nil
}

// blockSize is the size of the pool's blocks in bytes.
func (p *pool) blockSize() int64 { return int64(p.target.BlockSectors) * 512 }

// zeroes tells whether the pool zeroes a block before a volume gets it. If not, what a volume never
// wrote may be what another one left there.
func (p *pool) zeroes() bool { return !slices.Contains(p.target.Features, "skip_block_zeroing") }

// status asks for the pool's state, and refuses those in which it takes no messages.
func (p *pool) status(ctx context.Context) (devmapper.PoolStatus, error) {
	s, err := devmapper.StatusOfPool(ctx, p.device.Num)
	switch {
	case err != nil:
		return s, fmt.Errorf("find the status of the pool %s: %w", p.device.Name, err)
	case s.Failed:
		return s, fmt.Errorf("%w: %s has failed", ErrPool, p.device.Name)
	case s.NeedsCheck:
		return s, fmt.Errorf("%w: the kernel wants the metadata of %s checked: deactivate it "+
			`and run "lvconvert --repair"`, ErrPool, p.device.Name)
	case s.Mode == "ro":
		return s, fmt.Errorf("%w: %s is read-only and takes no messages", ErrPool, p.device.Name)
	}
	return s, nil
}

// lock takes the pool's lock. One that others have stacked may have no UUID: then it is known by
// its name, which is device-mapper's only one.
func (p *pool) lock(ctx context.Context) (*lock, error) {
	name := p.device.UUID
	if name == "" {
		name = "pool named " + p.device.Name
	}
	return takeLock(ctx, name, "read the metadata of the pool "+p.device.Name)
}

// read reserves a metadata snapshot, has the metadata read as it tells them, and releases it on
// every way out, the end of ctx and a panic included.
func (p *pool) read(ctx context.Context, do func(*metadata.Metadata) error) (err error) {
	l, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	in, err := blockdev.Open(p.target.Metadata.Path())
	if err != nil {
		return fmt.Errorf("open the metadata of the pool %s: %w", p.device.Name, err)
	}
	defer in.Close()
	if err := p.releaseStale(ctx, l, in); err != nil {
		return err
	}
	status, reserved, err := p.reserve(ctx, l, in)
	if reserved {
		defer func() { err = errors.Join(err, p.release(ctx, l)) }()
	}
	if err != nil {
		return fmt.Errorf("reserve a metadata snapshot of the pool %s: %w", p.device.Name, err)
	}
	held, err := metadata.OpenSnapshot(in, in.Size(), status.Held, status.DataBlocks)
	if err == nil && held.DataBlockSectors() != uint32(p.target.BlockSectors) {
		err = fmt.Errorf("blocks of %d sectors, the pool's table says %d",
			held.DataBlockSectors(), p.target.BlockSectors)
	}
	if err == nil {
		err = do(held)
	}
	if err != nil {
		return fmt.Errorf("read the metadata of the pool %s: %w", p.device.Name, err)
	}
	return nil
}

// release releases the metadata snapshot, whatever has become of ctx.
func (p *pool) release(ctx context.Context, l *lock) error {
	ctx = devmapper.Regardless(ctx)
	keepLock := devmapper.Trace{Open: l.f}
	err := p.message(ctx, "release_metadata_snap", keepLock)
	if errors.Is(err, devmapper.ErrCutShort) {
		status, err2 := devmapper.StatusOfPool(ctx, p.device.Num)
		if err2 == nil && status.Held == 0 {
			err = nil // it had done it
		}
	}
	if err != nil {
		return fmt.Errorf("release the metadata snapshot of the pool %s (%q does it): %w",
			p.device.Name, p.releaseCommand(), err)
	}
	return l.note(reservation{})
}

// releaseStale releases a metadata snapshot that a run of ours left behind, which was killed.
// Somebody else's is not touched.
func (p *pool) releaseStale(ctx context.Context, l *lock, in *blockdev.File) error {
	status, err := p.status(ctx)
	if err != nil || status.Held == 0 {
		return err
	}
	var ours reservation
	l.read(&ours)
	if ours.Block == status.Held && ours.Sum == blockSum(in, status.Held) {
		return p.release(ctx, l)
	}
	doubt := ""
	if ours.Begun {
		doubt = ", or left behind by a run of this one that was killed, which can't be told"
	}
	return p.heldError(doubt)
}

func (p *pool) heldError(doubt string) error {
	return fmt.Errorf("%w%s: %s: if none is running that uses it, %q frees it",
		ErrHeld, doubt, p.device.Name, p.releaseCommand())
}

func (p *pool) message(ctx context.Context, text string, trace devmapper.Trace) error {
	return devmapper.Message(ctx, p.device.Num, text, trace)
}

func (p *pool) releaseCommand() string {
	return "dmsetup message " + p.device.Name + " 0 release_metadata_snap"
}

// blockSum is the hash of a metadata block: no two metadata snapshots of a pool that has changed
// meanwhile are alike. It is 0 if the block can't be read.
func blockSum(in *blockdev.File, block uint64) uint64 {
	b := blockdev.AlignedBuffer(metadata.BlockSize)
	if _, err := in.ReadAt(b, int64(block)*metadata.BlockSize); err != nil {
		return 0
	}
	return xxhash.Sum64(b)
}
