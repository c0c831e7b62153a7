package apply

import (
	"fmt"
	"math"
	"slices"

	"lvmsync/format"
)

// next finds the next step, if there is one.
func (b *baseCheck) next() bool {
	b.step = format.Extent{Off: math.MaxInt64}
	for _, l := range b.links {
		if !l.quiet && l.cursor.Rest.Len > 0 {
			b.step = narrowed(b.step, l.cursor.Rest.Extent)
		}
		if len(l.left) > 0 {
			from := max(l.left[0].Offset, b.pos)
			sample := format.Extent{Off: from, Len: l.left[0].Offset + format.SampleSize - from}
			b.step = narrowed(b.step, sample)
		}
	}
	return b.step.Len > 0
}

// quietly narrows the step to what quiet patches have all or nothing of. Segments of theirs
// that lie between two steps are not read.
func (b *baseCheck) quietly() error {
	for _, l := range b.links {
		if !l.quiet {
			continue
		}
		err := l.cursor.SkipTo(b.step.Off)
		off, ok := l.cursor.Off()
		if err == nil && ok && off < b.step.End() {
			if err = l.cursor.Load(); err == nil {
				b.step = narrowed(b.step, l.cursor.Rest.Extent)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// fill narrows the step to what is in memory of the data of all patches that have it.
func (b *baseCheck) fill() error {
	for _, l := range b.links {
		if !l.has(b.step) || l.cursor.Rest.Kind != format.Data {
			continue
		}
		if err := l.cursor.Fill(); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		b.step.Len = min(b.step.Len, int64(len(l.cursor.Data)))
	}
	return nil
}

// narrowed is the first part of the volume of which both a step and e have all or nothing.
func narrowed(step, e format.Extent) format.Extent {
	switch {
	case e.Off < step.Off:
		return format.Extent{Off: e.Off, Len: min(e.End(), step.Off) - e.Off}
	case e.Off == step.Off:
		return format.Extent{Off: e.Off, Len: min(e.Len, step.Len)}
	}
	return format.Extent{Off: step.Off, Len: min(step.Len, e.Off-step.Off)}
}

// wanted tells whether anything is compared in the step.
func (b *baseCheck) wanted() bool {
	return slices.ContainsFunc(b.links, func(l *link) bool {
		return l.has(b.step) && l.cursor.Rest.HasBase || l.samples(b.step)
	})
}
