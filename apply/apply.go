// Package apply replays patches onto a block device or an image file.
//
// Nothing is written that has not been checked: a patch that can be read twice
// is verified whole before the first write, one from a pipe segment by segment,
// unless it is spooled first; and the destination must hold the base, as far as
// the patch tells what that is. A run can be repeated as long as nothing else has
// been written there since, for a patch says what the destination shall hold, not
// what to do with what is there.
package apply

import (
	"context"
	"errors"
	"io"
	"sync"

	"lvmsync/format"
	"lvmsync/format/durable"
)

// A Patch is one to apply.
type Patch struct {
	Name   string // for messages
	Reader io.Reader
}

// Options say where patches go and what is allowed.
type Options struct {
	Destination  string // block device or image file
	Create       bool   // create the image file, sparse, if it's missing
	AllowSmaller bool   // cut what lies past the end of the destination
	Force        bool   // write though it's in use, no raw volume, or the source of a full patch
	NoCheckBase  bool   // write whatever the destination holds
	TrustOrder   bool   // take patches in the order given where only times speak against it
	AcceptLost   bool   // write zeros for what could not be read when the patch was made
	DryRun       bool   // check everything, write nothing
	Verify       bool   // read back what was written, past the cache
	SpoolDir     string // first receive and verify a patch from a pipe in this folder
	Undo         string // new file for an undo patch of what is overwritten

	Tool        string // name of the program, for the header of the undo patch
	ToolVersion string // its version

	// Warn is told what the user should know though it stops nothing. Required.
	Warn func(message string)
	// Started, if set, is told the headers when the destination has passed its
	// first checks.
	Started func([]format.Header)
	// Progress, if set, is called with the number of bytes of the volume that
	// are done.
	Progress func(stage Stage, done int64)

	files  durable.FS // what makes files; for tests
	system *system    // what looks at the destination; for tests
}

// withDefaults sets what need not be set.
func (o Options) withDefaults() Options {
	if o.Progress == nil {
		o.Progress = func(Stage, int64) {}
	}
	if o.Started == nil {
		o.Started = func([]format.Header) {}
	}
	if o.system == nil {
		o.system = &thisSystem
	}
	var mu sync.Mutex
	warn := o.Warn
	o.Warn = func(message string) {
		mu.Lock()
		defer mu.Unlock()
		warn(message)
	}
	return o
}

// A Stage is what Progress speaks of.
type Stage string

// The stages. Not every run has both.
const (
	Verifying Stage = "verifying"
	Applying  Stage = "applying"
	Merging   Stage = "merging"
)

// A Report says what was done; in a dry run, what would be.
type Report struct {
	Header          format.Header // of the last patch
	Patches         int           // how many
	DestinationSize int64         // in bytes
	Created         bool          // the destination was created
	Undo            bool          // there is an undo patch
	Totals          format.Totals // of the extents that were dealt with
	Written         int64         // bytes of data written
	Zeroed          int64         // bytes made zeros
	Right           int64         // bytes not written: they were already there
	Cut             int64         // bytes of the volume past the destination's end, left out
	Behind          int64         // bytes left out that a later patch has cut off the volume
	Lost            int64         // bytes of zeros for what could not be read for the patch
}

// Run applies patches, each of which follows the one before. One alone may come
// from a pipe; several must be readable at random, as regular files are. A
// *[PartialError] means that the destination is part-way; any other error, that it
// is as it was. The end of ctx ends the run between two writes; it does not
// interrupt a Read of a patch.
func Run(ctx context.Context, patches []Patch, o Options) (report Report, err error) {
	o = o.withDefaults()
	if err := checkPlaces(patches, o); err != nil {
		return Report{}, err
	}
	in, err := openChain(patches, o)
	if err != nil {
		return Report{}, err
	}
	defer in.close()
	report.Header, report.Patches = in.last().header, len(in.patches)
	seen := openToRead(o.Destination)
	defer seen.close(o)
	if err := in.checkKind(ctx, seen, o); err != nil {
		return report, err
	}
	if err := in.checkOrder(o); err != nil {
		return report, err
	}
	dest, err := openDestination(in.headers(), o)
	if err != nil {
		return report, err
	}
	defer dest.close(o)
	report.DestinationSize = dest.size
	dest.warnMemory(o)
	if o.NoCheckBase && in.checkable() {
		unchecked := "not checked: whether " + o.Destination + " holds what is to be replaced"
		if len(patches) > 1 {
			unchecked += ", nor whether the patches follow one another"
		}
		o.Warn(unchecked)
	}
	o.Started(in.headers())
	journal, err := createJournal(in.headers(), dest, o)
	if err != nil {
		return report, err
	}
	defer func() {
		undoErr := journal.end(dest.touched)
		if undoErr != nil && (err == nil || !dest.touched) {
			o.Warn(undoErr.Error())
		}
		if lost := (*lostNameError)(nil); errors.As(undoErr, &lost) {
			report.Undo = false
		}
	}()
	segments, err := in.verified(ctx, dest, o)
	if err != nil {
		return report, err
	}
	r := newReplay(in, segments, dest, journal, o)
	err = r.run(ctx)
	r.report(&report)
	if err == nil {
		r.planner.lost.warn(o)
	}
	report.Created = dest.created && (err == nil || dest.touched)
	report.Undo = journal != nil && dest.touched
	return report, err
}
