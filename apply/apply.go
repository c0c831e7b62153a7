// Package apply replays a patch onto a block device or an image file.
//
// Nothing is written that has not been checked: a patch that can be read twice
// is verified whole before the first write, one from a pipe segment by segment,
// unless it is spooled first. Applying a patch again is always safe, for it says
// what the destination shall hold, not what to do with what is there.
package apply

import (
	"context"
	"io"

	"lvmsync/format"
)

// Options say where a patch goes and what is allowed.
type Options struct {
	Destination  string // block device or image file
	Create       bool   // create the image file, sparse, if it's missing
	AllowSmaller bool   // cut what lies past the end of the destination
	Force        bool   // write though the destination is in use, or the source of a full patch
	DryRun       bool   // check everything, write nothing
	SpoolDir     string // first receive and verify a patch from a pipe in this folder

	// System looks at the destination from outside. Required.
	System System
	// Warn is told what the user should know though it stops nothing. Required.
	Warn func(message string)
	// Started, if set, is told the header when the destination has passed its
	// checks.
	Started func(format.Header)
	// Progress, if set, is called with the number of bytes of the volume that
	// are done.
	Progress func(stage Stage, done int64)
}

// A Stage is what Progress speaks of.
type Stage string

// The stages. Not every run has both.
const (
	Verifying Stage = "verifying"
	Applying  Stage = "applying"
)

// A Report says what was done.
type Report struct {
	Header          format.Header
	Totals          format.Totals
	DestinationSize int64 // in bytes
	Cut             int64 // bytes of extents past the destination's end, left out
	Created         bool  // the destination was created; in a dry run, it would be
}

// Run applies a patch. One that can be read at random, as a regular file can,
// is verified to its end before the first write. A *[PartialError] means that
// the destination is part-way; any other error, that it is as it was. The end of
// ctx ends the run between two writes; it does not interrupt a Read of the patch.
func Run(ctx context.Context, patch io.Reader, o Options) (report Report, err error) {
	if o.Progress == nil {
		o.Progress = func(Stage, int64) {}
	}
	in, err := openInput(patch, o)
	if err != nil {
		return Report{}, err
	}
	defer in.close()
	r, err := in.open()
	if err != nil {
		return Report{}, err
	}
	defer func() { r.Close() }()
	report.Header = r.Header()
	dest, err := openDestination(r.Header(), o)
	if err != nil {
		return report, err
	}
	defer dest.close(o)
	report.DestinationSize = dest.size
	if o.Started != nil {
		o.Started(report.Header)
	}
	if r, err = in.verified(ctx, r, o); err != nil {
		return report, err
	}
	p := &replay{patch: r, dest: dest, dryRun: o.DryRun, progress: o.Progress}
	err = p.run(ctx)
	report.Totals, report.Cut = r.Totals(), p.cut
	report.Created = dest.created && (err == nil || dest.touched)
	return report, err
}
