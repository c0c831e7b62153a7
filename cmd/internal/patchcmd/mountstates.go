package patchcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/mount"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
	"lvmsync/format/archive"
)

var (
	errNoFull  = errors.New("no state can be restored: the patches don't begin with a full one")
	errNothing = errors.New("there is no patch")
	errBad     = errors.New("no patch can be used")
)

// shownFiles is how many files that can't be used are named.
const shownFiles = 10

// A chooser chooses what is shown of an archive.
type chooser struct {
	ctx     context.Context
	inv     *cli.Invocation
	archive *archive.Archive
	named   []string
	base    io.ReaderAt // nil: none
	size    int64       // of base

	wrong error // the first one about what does not lie over the base, or about one in doubt
}

// choose chooses the states, and says what is left out.
func (c *chooser) choose() ([]mount.Volume, error) {
	if err := c.unusable(); err != nil {
		return nil, err
	}
	var volumes []mount.Volume
	orphans := 0
	for _, v := range c.archive.Volumes {
		states, err := c.restorable(v)
		if err == nil && c.base != nil {
			var over []mount.State
			over, err = c.overBase(v)
			states = append(states, over...)
		}
		if err != nil {
			return nil, err
		}
		if c.base == nil {
			orphans += c.orphans(v)
		}
		if len(states) > 0 {
			volumes = append(volumes, mount.Volume{Name: v.Name, States: states})
		}
	}
	switch {
	case len(volumes) > 0:
	case c.wrong != nil:
		return nil, c.wrong
	case orphans > 0:
		return nil, fmt.Errorf("%s: %w", strings.Join(c.named, " "), errNoFull)
	default:
		return nil, fmt.Errorf("%s: %w", strings.Join(c.named, " "), c.noPatch())
	}
	if orphans > 0 {
		c.inv.Warn(few(orphans, "patch is", "patches are") + " left out, for what they start from " +
			"is not there: lvmsync-patch list tells more")
	}
	return volumes, nil
}

// noPatch is the error of what has no patch to build upon: that there may be some which can't be
// read, if so.
func (c *chooser) noPatch() error {
	err := errNothing
	for _, f := range c.archive.Files {
		switch f.Status {
		case archive.Unreadable:
			return fmt.Errorf("%w, such as %s: %w", errBad, f.Path, f.Err)
		case archive.Truncated, archive.Damaged, archive.Newer: // not named, so no status of that
			if err == errNothing {
				err = fmt.Errorf("%w, such as %s: %v", errBad, f.Path, f.Err)
			}
		}
	}
	return err
}

// unusable tells of files that are no patches to build upon. One that was named is an error.
func (c *chooser) unusable() error {
	var bad []string
	for _, f := range c.archive.Files {
		switch {
		case f.Status == archive.Copy && !errors.Is(f.Err, archive.ErrAnother):
		case slices.Contains(c.named, f.Path):
			return fmt.Errorf("%s: %w", f.Path, f.Err)
		case f.Status == archive.Foreign, f.Status == archive.Unfinished:
		default:
			bad = append(bad, fmt.Sprintf("%s is left out: %v", f.Path, f.Err))
		}
	}
	for _, text := range bad[:min(len(bad), shownFiles)] {
		c.inv.Warn(text)
	}
	if n := len(bad) - shownFiles; n > 0 {
		c.inv.Warn(fmt.Sprintf("%d more files can't be used: lvmsync-patch list tells which", n))
	}
	return nil
}

// orphans counts the patches that need a base.
func (c *chooser) orphans(v *archive.Volume) (n int) {
	for _, chain := range v.Chains {
		if chain.First().Header.Kind != format.Full {
			n += len(chain.Patches)
		}
	}
	for _, p := range v.Undo {
		if slices.Contains(c.named, p.Path) {
			n++
		}
	}
	return n
}

// restorable are the states that need no base.
func (c *chooser) restorable(v *archive.Volume) (states []mount.State, err error) {
	for _, p := range v.States() {
		err := c.doubt(p)
		if err == nil && p.InDoubt() {
			err = c.look(p, nil, 0)
		}
		switch {
		case c.ctx.Err() != nil:
			return nil, c.ctx.Err()
		case err != nil:
			c.leaveOut(p, err)
		default:
			states = append(states, mount.State{Patch: p})
		}
	}
	return states, nil
}

// doubt tells why a state is not shown where its headers leave it in doubt whether the patches
// follow one another: what can be compared is a sample. Who names all of them says that they do,
// as for lvmsync-apply.
func (c *chooser) doubt(p *archive.Patch) error {
	if !p.InDoubt() {
		return nil
	}
	for _, q := range p.Chain() {
		if q.Doubt == "" {
			continue
		}
		if !c.areNamed(p.Chain()) {
			return fmt.Errorf("%w: %s after %s: %s", archive.ErrDoubt, q.Path, q.Follows.Path, q.Doubt)
		}
		c.inv.Warn(fmt.Sprintf("the state of %v is shown, for all of its patches are named: "+
			"%s after %s: %s", p, q.Path, q.Follows.Path, q.Doubt))
	}
	return nil
}

func (c *chooser) areNamed(chain []*archive.Patch) bool {
	return !slices.ContainsFunc(chain, func(p *archive.Patch) bool {
		return !slices.Contains(c.named, p.Path)
	})
}

// overBase are the states that patches lead to which don't begin with a full one, if the base
// holds what they start from.
func (c *chooser) overBase(v *archive.Volume) (states []mount.State, err error) {
	shown := make(map[string]bool)
	for _, end := range c.ends(v) {
		for err := c.doubt(end); err != nil; err = c.doubt(end) {
			c.leaveOut(end, err)
			end = end.Follows // what a doubt is about follows something
		}
		if err := c.startsFromBase(end); err != nil {
			if c.ctx.Err() != nil {
				return nil, err
			}
			c.leaveOut(end, err)
			continue
		}
		for _, p := range end.Chain() {
			if !shown[p.State()] {
				shown[p.State()] = true
				states = append(states, mount.State{Patch: p, Base: true})
			}
		}
	}
	return states, nil
}

// startsFromBase makes sure that the base is what the patches that lead to p start from.
func (c *chooser) startsFromBase(p *archive.Patch) error {
	first := p.First()
	size := first.Header.First().VolumeSize
	check := !c.inv.Bool("no-check-base")
	switch start := first.Header.Start; {
	case c.size < size: // then there would be zeros where nobody knows what was there
		return fmt.Errorf("%w: the base has %d bytes, the volume that %s starts from %d",
			apply.ErrWrongBase, c.size, first.Path, size)
	case start > 0 && check:
		return fmt.Errorf("%w: %s is the rest of an interrupted run and leaves out what changed "+
			"before byte %d: --no-check-base shows it over a base that has that", apply.ErrWrongBase,
			first.Path, start)
	case !check:
		return nil
	}
	return c.look(p, c.base, c.size)
}

// ends are the patches that no other follows, of chains that don't begin with a full one, and the
// undo patches that were named.
func (c *chooser) ends(v *archive.Volume) (ends []*archive.Patch) {
	for _, chain := range v.Chains {
		if chain.First().Header.Kind == format.Full {
			continue
		}
		followed := make(map[*archive.Patch]bool)
		for _, p := range chain.Patches {
			followed[p.Follows] = true
		}
		for _, p := range chain.Patches {
			if !followed[p] {
				ends = append(ends, p)
			}
		}
	}
	for _, p := range v.Undo {
		if slices.Contains(c.named, p.Path) {
			ends = append(ends, p)
		}
	}
	return ends
}

// leaveOut tells why a state is not shown.
func (c *chooser) leaveOut(p *archive.Patch, err error) {
	if c.wrong == nil {
		c.wrong = fmt.Errorf("the state of %v: %w", p, err)
	}
	c.inv.Warn(fmt.Sprintf("the state of %v is left out, with what only leads to it: %v", p, err))
}

// look makes sure that the patches of a chain follow one another, and start from the base.
func (c *chooser) look(p *archive.Patch, base io.ReaderAt, size int64) error {
	var patches []apply.Patch
	for _, one := range p.Chain() {
		f, err := one.OpenFile()
		if err != nil {
			return err
		}
		defer f.Close()
		patches = append(patches, apply.Patch{Name: one.Path, Reader: patchfile.Reader(c.ctx, f)})
	}
	return apply.Look(c.ctx, patches, base, size)
}
