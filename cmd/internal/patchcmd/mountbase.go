package patchcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/sources"
	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/format/filelock"
	"lvmsync/format/volume"
)

// A mountBase is what is beneath deltas, kept from lvmsync-apply and others that ask, as long as
// it is open.
type mountBase struct {
	io.ReaderAt
	file *blockdev.File
	hold *os.File // nil: others use it already, who were warned of
}

func openBase(ctx context.Context, inv *cli.Invocation) (*mountBase, error) {
	path, err := devmapper.Resolve(ctx, inv.String("base"))
	if err != nil {
		return nil, err
	}
	f, err := blockdev.Open(path)
	if err != nil {
		return nil, err
	}
	b := &mountBase{ReaderAt: f, file: f}
	inputs := dump.Inputs{{File: f, What: "the base", Still: true}}
	if err = inputs.Flush(); err == nil {
		sources.Warn(inv, inputs) // of others, for we don't hold it yet
		err = b.keep(inv)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *mountBase) keep(inv *cli.Invocation) error {
	if b.file.IsDevice() {
		return b.holdDevice()
	}
	return b.holdImage(inv)
}

// holdDevice opens the device for our use alone, unless somebody uses it.
func (b *mountBase) holdDevice() error {
	f, err := os.OpenFile(b.file.Name(), os.O_RDONLY|unix.O_EXCL|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil
	}
	b.hold = f
	return err
}

// holdImage locks the image against who writes to it, and notices who does so all the same.
func (b *mountBase) holdImage(inv *cli.Invocation) error {
	f, err := os.Open(b.file.Name())
	if err != nil {
		return err
	}
	b.hold = f
	err = filelock.Take(f, false)
	switch {
	case errors.Is(err, filelock.ErrLocked):
		return fmt.Errorf("the base %s is %w, which may write to it", f.Name(), err)
	case err != nil:
		inv.Warn(fmt.Sprintf("the base %s can't be locked against who writes to it: %v", f.Name(), err))
	}
	b.ReaderAt, err = volume.Still(f)
	return err
}

// Size is the size in bytes.
func (b *mountBase) Size() int64 { return b.file.Size() }

// Close closes it; others may write to it then.
func (b *mountBase) Close() {
	if b.hold != nil {
		b.hold.Close()
	}
	b.file.Close()
}
