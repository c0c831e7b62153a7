package apply

import (
	"context"

	"lvmsync/format"
)

// A Verified is a patch that was read to its end and is right.
type Verified struct {
	Name   string
	Header format.Header
	Totals format.Totals
	Size   int64 // of the patch in bytes
	NoEnd  bool  // it is an undo patch whose end was never written
	Torn   int64 // bytes at the end of that which are not understood
	ByBase bool  // that it follows the one before, only what it replaces tells
	Lost   Lost  // what it has zeros for since it could not be read
}

// VerifyOptions tune [Verify]. Warn is required, the other functions may be nil.
type VerifyOptions struct {
	// TrustOrder takes patches in the order given where only times speak against it.
	TrustOrder bool
	// Warn is told what the user should know though it stops nothing.
	Warn func(message string)
	// Started is told the headers once all of them have been read.
	Started func([]format.Header)
	// Progress is told how many bytes of extents have been checked.
	Progress func(stage Stage, done int64)
}

// Verify checks what Run would check of patches without a destination: each by
// itself, and that it follows the one before it. If the first one is full, what the
// later ones say of their bases is checked, too: that is what Run finds when it
// creates the destination. Of what is lost in the end, which Run refuses unless told
// otherwise, it warns. As for Run, one patch alone may come from a pipe. None is closed.
func Verify(ctx context.Context, patches []Patch, vo VerifyOptions) ([]Verified, error) {
	o := Options{TrustOrder: vo.TrustOrder, Warn: vo.Warn, Started: vo.Started,
		Progress: vo.Progress}.withDefaults()
	if len(patches) == 1 {
		v, err := read(ctx, patches[0], o, func(*format.Segment) {})
		v.Lost.warnVerified("the patch was", o)
		return []Verified{v}, err
	}
	c, err := openChain(patches, o)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.checkOrder(o); err != nil {
		return nil, err
	}
	o.Started(c.headers())
	if err := c.readFiles(ctx, o); err != nil {
		return nil, err
	}
	if c.patches[0].header.Kind == format.Full {
		if err := c.checkBases(ctx, &destination{size: volumeSize(c.headers())}, o); err != nil {
			return nil, err
		}
	}
	lost, err := c.lost(ctx, volumeSize(c.headers()))
	if err != nil {
		return nil, err
	}
	lost.warnVerified("the patches were", o)
	var all []Verified
	for _, in := range c.patches {
		all = append(all, in.verified())
	}
	return all, nil
}

// ReadOptions tune [Read]. Warn is required, the other functions may be nil.
type ReadOptions struct {
	// Warn is told what the user should know though it stops nothing.
	Warn func(message string)
	// Started is told the header before the first segment comes.
	Started func(format.Header)
	// Progress is told how many bytes of extents have been read.
	Progress func(stage Stage, done int64)
}

// Read reads one patch to its end, checks all of it, and hands on each segment, to be used
// until use returns. It doesn't close the patch. After an error, what was handed on before
// was right, but is not all of the patch.
func Read(
	ctx context.Context, patch Patch, ro ReadOptions, use func(*format.Segment),
) (Verified, error) {
	o := Options{Warn: ro.Warn, Progress: ro.Progress}
	if ro.Started != nil {
		o.Started = func(h []format.Header) { ro.Started(h[0]) }
	}
	return read(ctx, patch, o.withDefaults(), use)
}

func read(
	ctx context.Context, patch Patch, o Options, use func(*format.Segment),
) (Verified, error) {
	in, err := openInput(patch, 0, o)
	if err != nil {
		return Verified{}, err
	}
	defer in.close()
	o.Started([]format.Header{in.header})
	err = in.readAll(ctx, o, func(s *format.Segment) error {
		use(s)
		return nil
	})
	if err != nil {
		return Verified{}, err
	}
	return in.verified(), nil
}

// verified describes the patch once it has been read to its end.
func (in *input) verified() Verified {
	v := Verified{Name: in.name, Header: in.header, Totals: in.reader.Totals(),
		Size: in.reader.Size(), ByBase: in.byHashes, Lost: in.lost.Lost}
	if t := in.tail; t != nil && t.told {
		v.NoEnd, v.Torn, v.Size = true, t.unread, in.size
	}
	return v
}
