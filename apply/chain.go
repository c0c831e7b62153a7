package apply

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/format"
	"lvmsync/format/walk"
)

// A chain is the patches to apply, mostly one.
type chain struct {
	patches []*input
	files   []*format.File // the same, read at random; only if there are several
}

// openChain opens the patches and reads their headers.
func openChain(patches []Patch, o Options) (*chain, error) {
	c := new(chain)
	for _, p := range patches {
		in, err := openInput(p, o.held(), o)
		if err == nil && len(patches) > 1 && in.at == nil {
			in.close()
			err = errors.New("only files can be applied one after another, not a pipe: " +
				"write it to a file first")
		}
		if err != nil {
			c.close()
			if len(patches) > 1 {
				err = fmt.Errorf("%s: %w", p.Name, err)
			}
			return nil, err
		}
		if len(patches) > 1 {
			in.force = false  // a chain is applied whole or not at all
			in.reader.Close() // each reads ahead: one after another
		}
		c.patches = append(c.patches, in)
	}
	return c, nil
}

func (c *chain) close() {
	for _, in := range c.patches {
		in.close()
	}
}

// alone is the patch as a chain of one.
func (in *input) alone() *chain { return &chain{patches: []*input{in}} }

func (c *chain) last() *input { return c.patches[len(c.patches)-1] }

func (c *chain) headers() []format.Header {
	var h []format.Header
	for _, in := range c.patches {
		h = append(h, in.header)
	}
	return h
}

// exact tells whether the patches say what the destination must hold before.
func (c *chain) exact() bool {
	for _, in := range c.patches {
		if in.header.Base != nil && in.header.Base.Exact {
			return true
		}
	}
	return false
}

// checkable tells whether a patch says anything of its base.
func (c *chain) checkable() bool {
	for _, in := range c.patches {
		if b := in.header.Base; b != nil && (b.Exact || len(b.Fingerprint) > 0) {
			return true
		}
	}
	return false
}

// verified checks all that can be checked before the first write, and returns the
// segments to apply. Patches that can be read twice are read to their end. One
// from a pipe is checked while it is applied.
func (c *chain) verified(ctx context.Context, d *destination, o Options) (segments, error) {
	if len(c.patches) > 1 {
		return c.verifiedMerge(ctx, d, o)
	}
	in := c.patches[0]
	check := newBaseCheck(d, c, o.NoCheckBase)
	if err := check.run(ctx); err != nil {
		return nil, err
	}
	if err := check.result(); err != nil {
		return nil, err
	}
	if in.again == nil || o.DryRun && !in.mayLackEnd() {
		return in, nil // what replays it, in a dry run too, reads and checks the same
	}
	lost := &lostCount{size: d.size}
	err := in.readAll(ctx, o, func(s *format.Segment) error {
		lost.add(s)
		return check.segment(ctx, s)
	})
	if err != nil {
		return nil, err
	}
	if err := lost.refuse(o.AcceptLost, false); err != nil {
		return nil, err
	}
	if err := check.result(); err != nil {
		return nil, err
	}
	if !o.NoCheckBase {
		if err := in.tail.reaches(ctx, d); err != nil {
			return nil, err
		}
	}
	return in, in.rewind(o.held())
}

// verifiedMerge does the same for several patches: each is compared with what the
// ones before it will leave.
func (c *chain) verifiedMerge(ctx context.Context, d *destination, o Options) (segments, error) {
	if err := c.readFiles(ctx, o); err != nil {
		return nil, err
	}
	if err := c.refuseLost(ctx, d, o); err != nil {
		return nil, err
	}
	if err := c.checkBases(ctx, d, o); err != nil {
		return nil, err
	}
	return walk.NewMerge(c.files...), nil
}

// readFiles checks each of several patches by itself, and opens it to be read at
// random.
func (c *chain) readFiles(ctx context.Context, o Options) error {
	progress, before := o.Progress, int64(0)
	o.Progress = func(s Stage, done int64) { progress(s, before+done) }
	for _, in := range c.patches {
		f, err := in.readFile(ctx, o)
		var alone *AloneError
		if errors.As(err, &alone) {
			alone.OneByOne = c.oneByOne()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
		c.files = append(c.files, f)
		before += f.Totals().Bytes()
	}
	return nil
}

// readFile reads a patch to its end, then opens it to be read at random: an index takes
// memory, and only then is it known to be that of so many segments.
func (in *input) readFile(ctx context.Context, o Options) (*format.File, error) {
	if !in.device && !in.hasTrailer() {
		f, err := format.OpenFile(in.at, in.size) // says so before all of it has been read
		if err != nil && in.header.MayLackEnd() {
			err = fmt.Errorf("%w; an undo patch without its end can be used alone only", err)
			err = &AloneError{Err: err}
		}
		return f, err
	}
	if err := in.rewind(0); err != nil {
		return nil, err
	}
	err := in.readAll(ctx, o, func(s *format.Segment) error {
		in.hasBase = in.hasBase || hasBase(s)
		in.unhashed += unhashed(s)
		if in.each != nil {
			in.each(s)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f, err := format.OpenFile(in.at, in.reader.Size())
	if err == nil && !f.Is(in.reader) {
		err = errors.New("the patch has changed while it was read")
	}
	return f, err
}

// checkBases compares each patch's base with what the patches before it leave.
func (c *chain) checkBases(ctx context.Context, d *destination, o Options) error {
	if o.NoCheckBase {
		return nil
	}
	if err := c.checkHashed(); err != nil {
		return err
	}
	check := newBaseCheck(d, c, false)
	if err := check.run(ctx); err != nil {
		return err
	}
	if err := c.wrongOrder(check.result()); err != nil {
		return err
	}
	return c.newestFirst(check)
}
