// Package prune carries out what is planned of an archive: it merges patches and takes away those
// that no kept state needs. Ended at any moment, it leaves a folder from which all kept states can
// be restored, and the next run does the rest.
package prune

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lvmsync/apply"
	"lvmsync/format/archive"
	"lvmsync/format/archive/retention"
	"lvmsync/format/durable"
	"lvmsync/format/merge"
)

// Options tune [Run]. All functions must be set.
type Options struct {
	Made merge.Made
	// Warn is told what the user should know though it stops nothing.
	Warn func(message string)
	// Did is told what was done of a step, as soon as it is, and how many bytes were written.
	Did func(part retention.Step, written int64)
	// Progress is told how far a stage is, in bytes.
	Progress func(stage apply.Stage, done int64)
}

// A Done is what was done.
type Done struct {
	Merged  int   // patches that became others
	Made    int   // of them
	Removed int   // files, without those whose place a merged one took
	Read    int64 // in bytes
	Written int64 // in bytes
	Won     int64 // in bytes of room; less than 0 if more is taken now
}

// Run carries out a plan of the archive, which is that of a folder. Nobody else may write to that
// meanwhile. A volume in which something fails stays as it is then; the others are gone on with. Where
// there is no room to merge, what needs none is done all the same.
func Run(ctx context.Context, a *archive.Archive, plan retention.Plan, o Options) (Done, error) {
	return run(ctx, a, plan, o, system{durable.FS{}, os.Remove, (*os.File).Chown, free})
}

// A system is what changes files.
type system struct {
	files  durable.FS
	remove func(path string) error
	chown  func(f *os.File, uid, gid int) error
	free   func(folder string) (bytes int64, known bool)
}

func run(ctx context.Context, a *archive.Archive, plan retention.Plan, o Options,
	sys system) (Done, error) {
	var done Done
	var errs []error
	for i, v := range plan.Volumes {
		r := &runner{Options: o, sys: sys, done: &done, kept: v.Kept,
			now: make(map[string]*archive.Patch), checked: make(map[string]bool),
			flushed: make(map[string]bool),
			needed:  make(needed)}
		for _, c := range a.Volumes[i].Chains {
			for _, p := range c.Patches {
				r.now[p.Path] = p
			}
		}
		for _, step := range v.Steps {
			// What takes no room makes some, for the next run.
			if r.full && len(step.Merge) > 0 {
				continue
			}
			err := r.do(ctx, step)
			r.full = r.full || errors.Is(err, unix.ENOSPC)
			if err != nil {
				errs = append(errs, err)
			}
			if err != nil && !r.full {
				break
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return done, errors.Join(errs...)
}

// A runner carries out the plan of a volume.
type runner struct {
	Options
	sys     system
	done    *Done
	kept    []retention.Kept
	now     map[string]*archive.Patch // what is there, by path
	checked map[string]bool           // paths of patches that were read to their ends
	flushed map[string]bool           // paths of patches that are durable
	full    bool                      // there was no room to merge
	needed  needed
}

// do takes a step.
func (r *runner) do(ctx context.Context, step retention.Step) error {
	if len(step.Merge) > 0 {
		written, err := r.merge(ctx, step)
		if err != nil {
			return err
		}
		r.Did(retention.Step{Merge: step.Merge}, written)
	}
	if len(step.Remove) == 0 {
		return nil
	}
	needed, err := r.mayRemove(ctx, step)
	if err != nil {
		return err
	}
	folders := make(map[string]bool)
	for _, p := range step.Copies {
		if err := r.remove(ctx, p, needed); err != nil {
			return err
		}
		r.Did(retention.Step{Copies: []*archive.Patch{p}}, 0)
		folders[filepath.Dir(p.Path)] = true
	}
	for _, p := range step.Remove {
		if err := r.remove(ctx, r.now[p.Path], needed); err != nil {
			return err
		}
		r.Did(retention.Step{Remove: []*archive.Patch{r.now[p.Path]}}, 0)
		delete(r.now, p.Path)
		folders[filepath.Dir(p.Path)] = true
	}
	for folder := range folders {
		if err := r.sys.files.SyncFolder(folder); err != nil {
			return fmt.Errorf("flush the folder %s: %w", folder, err)
		}
	}
	return nil
}

// remove takes a file with a patch away. All that kept states need must still be there.
func (r *runner) remove(ctx context.Context, p *archive.Patch, n needed) error {
	err := n.stand()
	if err == nil {
		err = unchanged(ctx, p)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", p.Path, err)
	}
	if err := r.sys.remove(p.Path); err != nil {
		return fmt.Errorf("remove %s: %w", p.Path, durable.Cause(err))
	}
	r.done.Removed++
	r.done.Won += p.Size
	return nil
}
