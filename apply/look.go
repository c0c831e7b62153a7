package apply

import (
	"context"
	"errors"
	"fmt"
	"io"

	"lvmsync/format"
)

// Look makes sure that patches which follow one another can be read over what is beneath them,
// without a write: that base, of size bytes, holds what the first starts from, and that each finds
// what it starts from in what those before it leave, as far as they say what that is. Nothing
// makes up for what a run that was broken off has left. A nil base is for patches of which the
// first is full. Where they don't the error matches ErrWrongBase. Patches are not verified beyond what
// that takes; they must be readable at random, and stay open.
func Look(ctx context.Context, patches []Patch, base io.ReaderAt, size int64) error {
	if len(patches) == 0 {
		return errors.New("look at a base: no patches")
	}
	o := Options{Warn: func(string) {}}.withDefaults()
	c, err := openChain(patches, o)
	if err != nil {
		return err
	}
	defer c.close()
	for _, in := range c.patches {
		if in.at == nil {
			return fmt.Errorf("%s: it can't be read at random", in.name)
		}
		f, err := format.OpenFile(in.at, in.size)
		if err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
		c.files = append(c.files, f)
		h := in.header
		in.hasBase = h.Kind == format.Undo || h.Merged != nil || h.Base != nil && h.Base.Exact
	}
	d := &destination{path: "the base", base: base, size: volumeSize(c.headers())}
	if base != nil {
		if first := c.patches[0].header.First().VolumeSize; size < first {
			return fmt.Errorf("%w: it has %d bytes, the volume that %s starts from %d",
				ErrWrongBase, size, c.patches[0].name, first)
		}
		d.size = size
	}
	check := newBaseCheck(d, c, false)
	if err := check.run(ctx); err != nil {
		return err
	}
	return check.result()
}
