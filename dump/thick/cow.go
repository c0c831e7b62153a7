package thick

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/dump/blockdev"
	"lvmsync/dump/thick/store"
)

// A cow is a COW store and the origin that it belongs to. Together they tell a snapshot.
type cow struct {
	origin *blockdev.File // nil if it's gone
	file   *blockdev.File
	store  *store.Store // in the file, once its header has been read
}

// open opens the store and its origin, if that has a path. The caller closes them, also after an
// error.
func (c *cow) open(cowPath, originPath string) (err error) {
	if originPath != "" {
		if c.origin, err = blockdev.Open(originPath); err != nil {
			return fmt.Errorf("open the origin: %w", err)
		}
	}
	if c.file, err = blockdev.Open(cowPath); err != nil {
		return fmt.Errorf("open the COW store: %w", err)
	}
	if c.origin != nil && c.origin.ID() == c.file.ID() {
		return fmt.Errorf("%s and %s are one and the same: origin and COW store can't be",
			cowPath, originPath)
	}
	return nil
}

// readHeader reads the store's header, which says how large chunks are.
func (c *cow) readHeader(ctx context.Context) (err error) {
	if c.store, err = store.Open(c.file, c.file.Size()); err != nil {
		return fmt.Errorf("read the COW store %s: %w", c.file.Name(), c.storeError(ctx, err))
	}
	return nil
}

// listed reads the exceptions of a snapshot of snapshotSize bytes. The areas below initialised may
// be read ahead.
func (c *cow) listed(ctx context.Context, snapshotSize, initialised int64) (chunks, error) {
	set, err := c.store.Exceptions(ctx, snapshotSize, initialised)
	if err != nil {
		return chunks{}, fmt.Errorf("read the exceptions in %s: %w", c.file.Name(),
			c.storeError(ctx, err))
	}
	return chunks{set, c.store.ChunkSize()}, c.checkValid(ctx)
}

// checkValid makes sure that by the store's own word its list is complete still.
func (c *cow) checkValid(ctx context.Context) error {
	if err := c.store.CheckValid(); err != nil {
		return fmt.Errorf("read the COW store %s again: %w", c.file.Name(), c.storeError(ctx, err))
	}
	return nil
}

// storeError says why a store is invalid, where that is what is wrong with it.
func (c *cow) storeError(ctx context.Context, err error) error {
	if errors.Is(err, store.ErrInvalid) {
		return why(ctx, c.file)
	}
	return err
}

func (c *cow) close() error { return errors.Join(c.origin.Close(), c.file.Close()) }
