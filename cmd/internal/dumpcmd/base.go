package dumpcmd

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/output"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/dump/compare"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/signature"
	"lvmsync/dump/stored"
	"lvmsync/format"
	"lvmsync/format/sigfile"
)

// openWithBase opens a device or file and the one that it's compared with, or a state of an archive
// instead of that.
func openWithBase(ctx context.Context, inv *cli.Invocation, name string,
	blockSize int64) (source, error) {
	path, err := devmapper.Resolve(ctx, name)
	if err != nil {
		return source{}, err
	}
	old, err := devmapper.Resolve(ctx, inv.String("base"))
	if err != nil {
		return source{}, err
	}
	isArchive := archives.Is(old)
	if err := archives.Check(inv, isArchive, howArchive); err != nil {
		return source{}, err
	}
	switch {
	case inv.Bool("force") && !isArchive:
		return source{}, cli.Usagef("--force goes with an archive: %s", howArchive)
	case isArchive && archives.Is(path):
		return source{}, cli.Usagef("%s is no volume, but a folder or patch: name what is to be "+
			"compared behind the archive", name)
	}
	src := source{name: name, compares: true}
	if isArchive {
		err = src.openStored(ctx, inv, path, old, blockSize)
	} else {
		src.Source, err = compare.Open(ctx, path, old, blockSize)
	}
	if err != nil {
		return source{}, err
	}
	return src, nil
}

// howArchive says how an archive is named.
const howArchive = "name a folder of patches, or a full patch, with --base"

// openStored opens the device or file at path, and what it's compared with: a state of the archive.
func (s *source) openStored(ctx context.Context, inv *cli.Invocation, path, archive string,
	blockSize int64) (err error) {
	// What is compared with must still be a state of the archive when the delta is there.
	folder := archive
	if !archives.IsFolder(archive) {
		folder = filepath.Dir(archive)
	}
	lock, err := output.Lock(inv, folder, false)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			lock.Unlock()
		}
	}()
	if s.held, err = archives.Select(ctx, inv, archive); err != nil {
		return err
	}
	state, err := stored.Open(s.held)
	if err != nil {
		return err
	}
	inv.Say(fmt.Sprintf("%s: compared with the state of %v", s.name, s.held))
	s.paths = archives.Opened(inv, s.held.Chain(), state.Files())
	if s.Source, err = compare.OpenStored(ctx, path, state, blockSize); err != nil {
		return err
	}
	end := s.Close
	s.Close = func() error {
		defer lock.Unlock()
		return end()
	}
	return nil
}

// openWithSignature opens a device or file and the signature that it's compared with.
func openWithSignature(ctx context.Context, inv *cli.Invocation, name string) (source, error) {
	path, err := devmapper.Resolve(ctx, name)
	if err != nil {
		return source{}, err
	}
	in, paths, err := openSignature(ctx, inv, inv.String("signature"))
	if err != nil {
		return source{}, err
	}
	src, err := signature.Open(ctx, path, in)
	if err != nil {
		return source{}, err
	}
	return source{Source: src, name: name, paths: paths, compares: true}, nil
}

// openSignature opens a signature, and checks one in a file or on a device to its end. It stays
// open until the program ends.
func openSignature(ctx context.Context, inv *cli.Invocation,
	name string) (in io.Reader, paths []string, err error) {
	f, err := patchfile.Open(ctx, inv, "signature", name)
	if err != nil {
		return nil, nil, err
	}
	in = patchfile.Reader(ctx, f)
	if !cli.IsStored(f) {
		return in, nil, nil
	}
	if patchfile.IsDevice(f) {
		in = format.OnDevice(in)
	}
	begin, err := f.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = sigfile.Verify(in)
	}
	if err == nil {
		_, err = f.Seek(begin, io.SeekStart)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", patchfile.Shown(name), err)
	}
	return in, []string{f.Name()}, nil
}

// warnSizes tells that the volume has not the size of what it is compared with.
func warnSizes(inv *cli.Invocation, name string, size, base int64) {
	switch {
	case size < base:
		inv.Warn(fmt.Sprintf("%s has %d bytes, %d fewer than what it is compared with: the "+
			"destination keeps what lies beyond", name, size, base-size))
	case size > base:
		inv.Note("%s has %d bytes, %d more than what it is compared with: all of those are sent",
			name, size, size-base)
	}
}
