package apply

import (
	"context"
	"errors"
	"fmt"
	"io"

	"lvmsync/format"
	"lvmsync/format/merge"
)

// ErrRest means that a patch is the rest of an interrupted run, which can't be merged.
var ErrRest = errors.New("it is the rest of an interrupted run, and leaves out what changed before")

// MergeOptions tune [Merge]. Warn is required, the other functions may be nil.
type MergeOptions struct {
	// TrustOrder takes patches in the order given where only times speak against it.
	TrustOrder bool
	merge.Made
	merge.Options

	// Warn is told what the user should know though it stops nothing.
	Warn func(message string)
	// Started is told the headers once all of them have been read.
	Started func([]format.Header)
	// Progress is told how much of a stage is done, in bytes of extents while the patches are
	// verified, in bytes of the volume while they are merged.
	Progress func(stage Stage, done int64)
}

// A Merged is a patch that was merged of others.
type Merged struct {
	merge.Written
	Header  format.Header
	Patches []Verified // of which it was merged
	Lost    Lost       // what it has zeros for since it could not be read
}

// Merge writes a patch to w that does what patches do which follow one another. It refuses
// what Run would refuse, as far as that needs no destination: each is verified whole, and
// compared with what those before it leave, as far as they have that, before anything is
// written. After an error, what was written is no whole patch. None of patches is closed.
func Merge(ctx context.Context, patches []Patch, w io.Writer, mo MergeOptions) (Merged, error) {
	o := Options{TrustOrder: mo.TrustOrder, Warn: mo.Warn, Started: mo.Started,
		Progress: mo.Progress}.withDefaults()
	if len(patches) < 2 {
		return Merged{}, errors.New("merge: at least two patches are needed")
	}
	c, err := openChain(patches, o)
	if err != nil {
		return Merged{}, err
	}
	defer c.close()
	if in := c.patches[0]; in.header.Start > 0 {
		return Merged{}, fmt.Errorf("%s: %w byte %d", in.name, ErrRest, in.header.Start)
	}
	if err := c.checkOrder(o); err != nil {
		return Merged{}, err
	}
	o.Started(c.headers())
	inputs, samples, err := c.mergeable(ctx, o)
	if err != nil {
		return Merged{}, err
	}
	lost, err := c.lost(ctx, volumeSize(c.headers()))
	if err != nil {
		return Merged{}, err
	}
	lost.warnVerified("the patches were", o)
	m := Merged{Lost: lost.Lost}
	for _, in := range c.patches {
		m.Patches = append(m.Patches, in.verified())
	}
	m.Header, err = merge.Header(inputs, samples.Fingerprint(), lost.Count > 0, mo.Made)
	if err != nil {
		return m, err
	}
	mo.Options.Progress = func(done int64) { o.Progress(Merging, done) }
	m.Written, err = merge.Write(ctx, w, m.Header, inputs, mo.Options)
	return m, err
}

// mergeable checks all that can be checked of patches without a destination.
func (c *chain) mergeable(ctx context.Context, o Options) ([]merge.Input, *merge.Samples, error) {
	inputs, samples := make([]merge.Input, len(c.patches)), merge.NewSamples(c.headers())
	for i, in := range c.patches {
		in.each = func(s *format.Segment) {
			inputs[i].Briefs = append(inputs[i].Briefs, format.BriefOf(s))
			for _, r := range s.Records {
				samples.Touch(r.Extent)
			}
		}
	}
	if err := c.readFiles(ctx, o); err != nil {
		return nil, nil, err
	}
	whole := c.patches[0].header.Kind == format.Full
	d := &destination{size: volumeSize(c.headers()), unseen: !whole}
	if err := c.checkBases(ctx, d, o); err != nil {
		return nil, nil, err
	}
	if err := c.contradicted(samples); err != nil && !whole {
		return nil, nil, err
	}
	for i, f := range c.files {
		inputs[i].File = f
	}
	return inputs, samples, nil
}

// contradicted is the error to report if no destination can hold what the samples of all patches
// say: that of the first patch.
func (c *chain) contradicted(s *merge.Samples) error {
	wrong := s.Contradicted()
	for i, in := range c.patches {
		if n := wrong[i]; n > 0 {
			return &BaseError{Patch: in.name, Samples: n, Of: len(in.header.Base.Fingerprint),
				Undo: in.header.Kind == format.Undo}
		}
	}
	return nil
}
