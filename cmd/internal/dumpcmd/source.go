package dumpcmd

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/sources"
	"lvmsync/dump"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/full"
	"lvmsync/dump/thick"
	"lvmsync/dump/thin"
	"lvmsync/format"
	"lvmsync/format/archive"
)

// source is a dump.Source as the user named it.
type source struct {
	dump.Source
	name     string
	paths    []string       // what it reads besides its inputs
	exact    bool           // what equals the base is left out
	compares bool           // what differs is found while it's dumped
	held     *archive.Patch // that leads to the state that it's compared with; may be nil
}

// openSource opens what the options and arguments name, and tells who uses it.
func openSource(ctx context.Context, inv *cli.Invocation, o options) (source, error) {
	src, err := openNamed(ctx, inv, o)
	if err != nil {
		return src, err
	}
	src.exact = src.compares || inv.Bool("exact-base")
	sources.Warn(inv, src.Inputs)
	src.paths = append(src.paths, src.Inputs.Paths()...)
	return src, nil
}

func openNamed(ctx context.Context, inv *cli.Invocation, o options) (source, error) {
	name := inv.Args().First()
	switch {
	case inv.IsSet("base"):
		return openComparison(ctx, inv, name, func() (source, error) {
			return openWithBase(ctx, inv, name, o.blockSize)
		})
	case inv.IsSet("signature"):
		return openComparison(ctx, inv, name, func() (source, error) {
			return openWithSignature(ctx, inv, name)
		})
	case inv.IsSet("cow"):
		return openStore(ctx, inv, inv.String("cow"), name)
	}
	isThin := thin.Named(ctx, name)
	switch {
	case inv.Bool("full"):
		return openFull(ctx, inv, name, isThin)
	case isThin:
		return openThin(ctx, inv, name)
	}
	return openThick(ctx, inv, name)
}

func openThick(ctx context.Context, inv *cli.Invocation, name string) (source, error) {
	var s thick.Source
	var err error
	switch {
	case inv.IsSet("to"):
		s, err = thick.OpenTo(ctx, name, inv.String("to"))
	case inv.Bool("reverse"):
		s, err = thick.OpenReverse(ctx, name)
	default:
		s, err = thick.Open(ctx, name)
	}
	if err != nil {
		return source{}, err
	}
	noteChanges(inv, s.Header)
	warnBackwards(inv, s.Header)
	return source{Source: s.Source, name: name, paths: []string{s.Origin.Name()}}, nil
}

func openThin(ctx context.Context, inv *cli.Invocation, name string) (source, error) {
	var s *thin.Changes
	var err error
	switch {
	case inv.IsSet("to"):
		s, err = thin.OpenTo(ctx, name, inv.String("to"))
	case inv.Bool("reverse"):
		s, err = thin.OpenReverse(ctx, name)
	default:
		s, err = thin.Open(ctx, name)
	}
	if err != nil {
		return source{}, err
	}
	tell := func() error { return tellThin(inv, s, name) }
	if err := tell(); err != nil {
		return source{}, errors.Join(err, s.Close())
	}
	src, err := noteSent(ctx, inv, s, "once more is discarded, start from a new snapshot and a "+
		"new full copy, not from "+name+" again", tell)
	return source{Source: src, name: name}, err
}

// tellThin tells what a patch from a thin snapshot holds, and refuses what that may not.
func tellThin(inv *cli.Invocation, s *thin.Changes, name string) error {
	if err := checkBase(inv, s, name); err != nil {
		return err
	}
	h := s.Source().Header
	noteChanges(inv, h)
	warnBackwards(inv, h)
	warnThin(inv, s)
	if why := s.SentUnknown(); why != nil {
		inv.Warn(fmt.Sprintf("what earlier dumps from %s have sent can't be told: all of the "+
			"volume is sent: %v", name, why))
	}
	return nil
}

// checkBase refuses a base that has no one content where the patch has to start from just that, and
// tells of one that was written to.
func checkBase(inv *cli.Invocation, s *thin.Changes, name string) error {
	exact := inv.Bool("exact-base")
	if f := s.Unsteady(); len(f) > 0 && exact {
		return fmt.Errorf("--exact-base: %s does not stand still: its external origin %s can be "+
			"written to", name, f[0].Name())
	}
	if !s.BaseWritten() {
		return nil
	}
	what := fmt.Sprintf("%s has been written to since it was made, and %s stems from it", name,
		inv.String("to"))
	if exact {
		return fmt.Errorf("--exact-base: %s: of which of its contents the destination is a copy "+
			"can't be told", what)
	}
	inv.Warn(what + ": all that may have been changed in it is sent, too")
	return nil
}

func openFull(ctx context.Context, inv *cli.Invocation, name string, isThin bool) (source, error) {
	if !isThin {
		return openWhole(ctx, inv, name)
	}
	s, err := thin.OpenFull(ctx, name)
	if errors.Is(err, thin.ErrPool) {
		return openFailed(ctx, inv, name, err)
	}
	if err != nil {
		return source{}, err
	}
	if why := s.Unasked(); why != nil {
		inv.Warn(readsAll(name, why))
	}
	warnThin(inv, s)
	src, err := noteSent(ctx, inv, s, startsElsewhere, nil)
	return source{Source: src, name: name}, err
}

// openFailed opens all of a thin volume where even its device says no more of itself, and so not
// what to note that for.
func openFailed(ctx context.Context, inv *cli.Invocation, name string, why error) (source, error) {
	inv.Warn(readsAll(name, why))
	if !inv.Bool("dry-run") {
		inv.Warn(fmt.Sprintf("%v: %s", thin.ErrNotNoted, startsElsewhere))
	}
	return openWhole(ctx, inv, name)
}

func openWhole(ctx context.Context, inv *cli.Invocation, name string) (source, error) {
	path, err := devmapper.Resolve(ctx, name)
	if err != nil {
		return source{}, err
	}
	s, err := full.Open(ctx, path)
	if err != nil {
		return source{}, err
	}
	if err := s.Unnamed(); err != nil {
		inv.Warn(fmt.Sprintf("the patch has no names of the volume, and later patches will not "+
			"know what they follow: %v", err))
	}
	return source{Source: s.Source(), name: name}, nil
}

func openStore(ctx context.Context, inv *cli.Invocation, store, name string) (source, error) {
	cowPath, err := devmapper.Resolve(ctx, store)
	if err != nil {
		return source{}, err
	}
	path := ""
	if name != "" {
		if path, err = devmapper.Resolve(ctx, name); err != nil {
			return source{}, err
		}
	}
	s, err := thick.OpenStore(ctx, cowPath, path, inv.Bool("exact-base"), inv.Bool("reverse"))
	if err != nil {
		return source{}, err
	}
	noteChanges(inv, s.Header)
	if name == "" {
		name = store
	}
	return source{Source: s.Source, name: name}, nil
}

// noteChanges tells what the list of changes holds.
func noteChanges(inv *cli.Invocation, h format.Header) {
	inv.Note("%d bytes in %d extents have changed of %d; chunks of %s",
		h.Planned.Bytes, h.Planned.Extents, h.VolumeSize, cli.Bytes(h.Granularity))
}

func readsAll(name string, why error) string {
	return fmt.Sprintf("all of %s is read, mapped or not: %v", name, why)
}

// warnThin tells that parts of the volume may hold what others left in the pool, or write
// elsewhere.
func warnThin(inv *cli.Invocation, s *thin.Changes) {
	for _, f := range s.Unsteady() {
		inv.Warn(fmt.Sprintf("the external origin %s can be written to: what is not mapped is "+
			"sent as it is now, and all of it", f.Name()))
	}
	if !s.ZeroesBlocks() {
		inv.Warn("the pool does not zero its blocks: what was never written may hold data of " +
			"other volumes, and is sent, too")
	}
}
