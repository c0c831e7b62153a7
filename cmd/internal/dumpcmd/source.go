package dumpcmd

import (
	"context"
	"errors"
	"fmt"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/full"
	"lvmsync/dump/thick"
)

// source is a dump.Source as the user named it.
type source struct {
	dump.Source
	name  string
	paths []string // devices and files that it reads
}

// openSource opens what the options and arguments name.
func openSource(ctx context.Context, inv *cli.Invocation) (source, error) {
	name := inv.Args().First()
	switch {
	case inv.Bool("full"):
		return openFull(ctx, inv, name)
	case inv.IsSet("cow"):
		return openStore(ctx, inv, inv.String("cow"), name)
	}
	s, err := thick.Open(ctx, name)
	if err != nil {
		return source{}, err
	}
	noteChanges(inv, s)
	warnUsers(inv, "the origin", s.Origin())
	return source{s, name, []string{s.Origin().Name()}}, nil
}

func openFull(ctx context.Context, inv *cli.Invocation, name string) (source, error) {
	path, err := devmapper.Resolve(ctx, name)
	if err != nil {
		return source{}, err
	}
	s, err := full.Open(ctx, path)
	if err != nil {
		return source{}, err
	}
	warnUsers(inv, "the device", s.File)
	return source{s, name, []string{path}}, nil
}

func openStore(ctx context.Context, inv *cli.Invocation, cow, name string) (source, error) {
	cowPath, err := devmapper.Resolve(ctx, cow)
	if err != nil {
		return source{}, err
	}
	path, err := devmapper.Resolve(ctx, name)
	if err != nil {
		return source{}, err
	}
	s, err := thick.OpenStore(ctx, cowPath, path, inv.Bool("exact-base"))
	if err != nil {
		return source{}, err
	}
	noteChanges(inv, s)
	warnUsers(inv, "the origin", s.Origin())
	return source{s, name, []string{path, cowPath}}, nil
}

// noteChanges tells what the list of changes holds.
func noteChanges(inv *cli.Invocation, s *thick.Source) {
	h := s.Header()
	inv.Note("%d bytes in %d extents have changed on %s, which has %d bytes; chunks of %s",
		h.Planned.Bytes, h.Planned.Extents, s.Origin().Name(), h.VolumeSize, cli.Bytes(h.Granularity))
}

// warnUsers tells who may change the data while they are dumped.
func warnUsers(inv *cli.Invocation, what string, f *blockdev.File) {
	usage, err := blockdev.Users(f.ID())
	if err != nil {
		inv.Warn(fmt.Sprintf("can't tell who uses %s: %v", f.Name(), err))
		return
	}
	for _, u := range usage.Users {
		if !u.ReadOnly {
			inv.Warn(fmt.Sprintf("%s %s is %s: what is written during the dump may be caught half-way", what, f.Name(), u))
		}
	}
}

// sourceHint says what to do about an error in opening the source.
func sourceHint(err error) string {
	switch {
	case errors.Is(err, thick.ErrNotSnapshot):
		return "name a snapshot, or dump everything with --full"
	case errors.Is(err, devmapper.ErrNoTool):
		return "install the package that has it: dmsetup, lvm2"
	}
	return ""
}
